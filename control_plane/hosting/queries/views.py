"""Rows put beside each other, as people are shown them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from control_plane.blueprints.models import BlueprintVersion
from control_plane.hosting.models import Hosting, Plan, Request
from control_plane.hosting.queries.plans import is_in_force
from control_plane.hostnames import queries as hostnames
from control_plane.tenancy import queries as tenancy


@dataclass(frozen=True, slots=True)
class RequestView:
    """The rows that one request is shown from."""

    request: Request
    agency: str
    hosting: str
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class HostingView:
    """The rows that one hosting is shown from."""

    hosting: Hosting
    agency: str
    blueprint: str
    hostname: str | None
    plan: Plan | None


def view_requests(session: Session, requests: Sequence[Request]) -> list[RequestView]:
    """Return the views of requests, with a few queries for all of them."""
    slugs = _slugs(session, {request.agency_id for request in requests})
    ids = [request.hosting_id for request in requests]
    named = session.exec(select(Hosting.id, Hosting.name).where(col(Hosting.id).in_(ids)))
    names = dict(named.all())
    query = (
        select(Plan)
        .join(Request, col(Request.id) == col(Plan.request_id))
        .where(
            col(Plan.request_id).in_([request.id for request in requests]),
            col(Plan.version) == col(Request.version),
        )
    )
    plans = {plan.request_id: plan for plan in session.exec(query)}
    return [
        RequestView(
            request, slugs[request.agency_id], names[request.hosting_id], plans.get(request.id)
        )
        for request in requests
    ]


def view_hostings(session: Session, hostings: Sequence[Hosting]) -> list[HostingView]:
    """Return the views of hostings, with a few queries for all of them."""
    ids = [hosting.id for hosting in hostings]
    slugs = _slugs(session, {hosting.agency_id for hosting in hostings})
    blueprints = list_blueprint_names(session, {h.blueprint_version_id for h in hostings})
    names = hostnames.list_latest(session, ids)
    query = (
        select(Request.hosting_id, Plan)
        .join(Request, col(Request.id) == col(Plan.request_id))
        .where(col(Request.hosting_id).in_(ids), *is_in_force())
    )
    plans = dict(session.exec(query.order_by(col(Request.id))).all())  # the newest counts
    return [
        HostingView(
            hosting,
            slugs[hosting.agency_id],
            blueprints[hosting.blueprint_version_id],
            names[hosting.id].name if hosting.id in names else None,
            plans.get(hosting.id),
        )
        for hosting in hostings
    ]


def list_blueprint_names(session: Session, version_ids: set[str]) -> dict[str, str]:
    """Return the names of blueprints, by version."""
    query = select(BlueprintVersion.id, BlueprintVersion.name).where(
        col(BlueprintVersion.id).in_(version_ids)
    )
    return dict(session.exec(query).all())


def _slugs(session: Session, ids: set[str]) -> dict[str, str]:
    return {agency.id: agency.slug for agency in tenancy.list_agencies_by_id(session, ids)}
