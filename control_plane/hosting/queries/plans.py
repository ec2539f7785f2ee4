"""Every SELECT on plans: what was approved, what is in force, what would come of it now."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, and_, col, or_, select

from control_plane.blueprints import queries as blueprints
from control_plane.hosting.models import Hosting, Plan, Request
from control_plane.hosting.queries.rows import (
    find_image,
    find_open_request,
    get_hosting,
    placement_of,
)
from control_plane.hosting.rules import (
    Draft,
    Making,
    RequestKind,
    RequestStatus,
    new_change_plan,
    new_create_plan,
    new_restore_plan,
)
from control_plane.kit import clock
from control_plane.kit.money import Money
from control_plane.tenancy.models import Agency, RegionImage


def get_plan(session: Session, request: Request) -> Plan:
    """Return the plan of the request's present version."""
    return session.get_one(Plan, (request.id, request.version))


def find_latest_plan(session: Session, hosting_id: str) -> Plan | None:
    """Return the present plan by which a hosting is made."""
    query = (
        select(Plan)
        .join(Request, col(Request.id) == col(Plan.request_id))
        .where(col(Request.hosting_id) == hosting_id, *is_in_force())
    )
    return session.exec(query.order_by(col(Request.id).desc()).limit(1)).first()


def is_in_force() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on Request and Plan of which the newest counts."""
    is_carried_out = or_(
        col(Request.kind) == RequestKind.CREATE,
        and_(
            col(Request.kind).in_((RequestKind.CHANGE, RequestKind.RESTORE)),
            col(Request.status) == RequestStatus.FULFILLED,
        ),
    )
    return is_carried_out, col(Plan.version) == col(Request.version)


def find_approved_change(session: Session, hosting_id: str) -> Request | None:
    """Return the approved change that has not been begun: the hosting isn't as planned."""
    request = find_open_request(session, hosting_id, RequestKind.CHANGE)
    if request is None or request.status != RequestStatus.APPROVED:
        return None
    return None if is_as_planned(session, request) else request


def is_as_planned(session: Session, request: Request) -> bool:
    """Whether the rows of a hosting say what a request to make or change it wished for."""
    hosting = get_hosting(session, request.hosting_id)
    body = get_plan(session, request).body
    present = (hosting.size, hosting.inputs, hosting.image_digest, hosting.title)
    wished = (body["size"], body["inputs"], body["image"], body.get("title", hosting.title))
    return present == wished


def find_changed_plan(session: Session, request: Request) -> Draft | None:
    """Return what would come of an approved request now, or None if that is what was approved.

    The blueprint's version stays, and the image as long as the region has it; the price may have
    changed meanwhile. Not for a change that has begun.
    """
    hosting = get_hosting(session, request.hosting_id)
    approved = get_plan(session, request)
    body, place = approved.body, placement_of(session, hosting)
    making = making_of(
        session, hosting, size=body["size"], inputs=body["inputs"], image=body["image"]
    )
    draft = new_create_plan(place, making)
    if request.kind == RequestKind.RESTORE:
        draft = new_restore_plan(place, making)
    if request.kind == RequestKind.CHANGE:
        titles = hosting.title, body["title"]
        draft = new_change_plan(place, making_now(session, hosting), making, titles)
    return None if draft.hash == approved.hash else draft


def making_of(
    session: Session, hosting: Hosting, *, size: str, inputs: Mapping[str, Any], image: str
) -> Making:
    """Return what a hosting is to be made of, at the present price, from an image there is."""
    blueprint = blueprints.get_blueprint(session, hosting.blueprint_version_id)
    if session.get(RegionImage, (hosting.region_id, image)) is None:
        newest = find_image(session, hosting.region_id, blueprint.image)
        image = newest.digest if newest is not None else image
    currency = session.get_one(Agency, hosting.agency_id).currency
    price = blueprints.price_at(session, blueprint.name, size, currency, clock.now())
    return Making(blueprint, size, inputs, image, price)


def making_now(session: Session, hosting: Hosting) -> Making:
    """Return what a hosting is made of, at the price that was decided on."""
    blueprint = blueprints.get_blueprint(session, hosting.blueprint_version_id)
    plan = find_latest_plan(session, hosting.id)
    if plan is None:
        raise LookupError(f"{hosting.id} has no plan")
    price = Money(plan.currency, plan.micros_per_hour)
    return Making(blueprint, hosting.size, hosting.inputs, hosting.image_digest, price)
