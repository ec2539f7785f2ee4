"""Declared wishes become requests; what is there as wished already is left alone."""

from dataclasses import dataclass

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.blueprints.rules import check_inputs
from control_plane.hosting import queries
from control_plane.hosting.actions.submitting import submit_create
from control_plane.hosting.actions.terms import Terms
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    GONE,
    HostingDiffers,
    HostingStatus,
    NewHosting,
    TenantFile,
    WishedHosting,
    list_differences,
)
from control_plane.hostnames.rules import parse_hostname
from control_plane.identity.rules import Actor, Permission
from control_plane.tenancy import queries as tenancy


@dataclass(frozen=True, slots=True)
class Granted:
    """One wish: the request it became, or (`request` None) the hosting that is there already."""

    hosting: Hosting
    request: Request | None


def apply_wishes(session: Session, actor: Actor, file: TenantFile, terms: Terms) -> list[Granted]:
    """Ask for every declared hosting that isn't there; all of them or none.

    Applied again it asks for nothing. Raises: what `submit_create` does, and HostingDiffers.
    """
    agency = tenancy.get_agency_for(session, actor, file.agency, Permission.HOSTING_REQUEST)
    tenancy.lock_agency(session, agency.id)
    return [_grant(session, actor, (file, wished), terms) for wished in file.hostings]


def _grant(
    session: Session, actor: Actor, wish: tuple[TenantFile, WishedHosting], terms: Terms
) -> Granted:
    file, wished = wish
    present = queries.find_hosting(session, f"{file.agency}:{wished.name}")
    if present is not None and present.status not in GONE:
        _require_same(session, present, wish, terms)
        return Granted(present, None)
    new = NewHosting(
        agency=file.agency,
        name=wished.name,
        blueprint=wished.blueprint,
        size=wished.size,
        inputs=wished.inputs,
        title=wished.title,
        region=file.region,
        tenant=file.tenant,
        hostname=wished.hostname,
    )
    request = submit_create(session, actor, new, terms)
    return Granted(queries.get_hosting(session, request.hosting_id), request)


def _require_same(
    session: Session, present: Hosting, wish: tuple[TenantFile, WishedHosting], terms: Terms
) -> None:
    file, wished = wish
    place = queries.placement_of(session, present)
    blueprint = blueprints.get_blueprint(session, present.blueprint_version_id)
    known = {
        "name": present.name,
        "title": present.title,
        "blueprint": blueprint.name,
        "size": present.size,
        "hostname": place.hostname,
        "inputs": present.inputs,
    }
    name = parse_hostname(wished.hostname, terms.zone).ascii if wished.hostname else None
    spelled = wished.model_copy(
        update={"hostname": name, "inputs": check_inputs(blueprint, wished.inputs)}
    )
    fields = list_differences(spelled, known)
    if file.tenant != place.tenant:
        fields.append("tenant")
    if file.region not in {None, place.region}:
        fields.append("region")
    if present.status == HostingStatus.ENDING:
        fields.append("status")
    if fields:
        raise HostingDiffers(name=present.name, fields=", ".join(fields), hosting=present.id)
