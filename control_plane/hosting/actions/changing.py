"""What is there is to be otherwise, or to come back: requests like any other, with a plan."""

from sqlmodel import Session

from control_plane.blueprints.rules import check_inputs
from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.actions.filing import add_request, decide_by_policy
from control_plane.hosting.actions.reserving import needs_of, reserve_more
from control_plane.hosting.actions.terms import Terms
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    LIFE,
    Change,
    DiskCannotShrink,
    HostingStatus,
    Making,
    NameTaken,
    NotChangeable,
    NothingToChange,
    NotRestorable,
    RequestKind,
    RequestOpen,
    new_change_plan,
    new_restore_plan,
)
from control_plane.hostnames import actions as hostnames
from control_plane.hostnames.rules import parse_hostname
from control_plane.identity.rules import Actor, Permission
from control_plane.kit import clock
from control_plane.tenancy import actions as tenancy


def submit_change(session: Session, actor: Actor, change: Change, terms: Terms) -> Request:
    """Ask for another size, title, other inputs or the newest image of a hosting in service.

    What it takes more is reserved at once, and what it takes less is given back when it is fact.
    Raises: NotFound, Forbidden, NotChangeable, RequestOpen, NothingToChange, DiskCannotShrink,
    SizeUnknown, InputInvalid, PriceUnknown, QuotaExceeded, BudgetExceeded, AgencySuspended.
    """
    hosting = _locked(session, actor, change.hosting)
    if hosting.status != HostingStatus.ACTIVE or hosting.suspended_at is not None:
        raise NotChangeable(present=hosting.status)
    before = queries.making_now(session, hosting)
    after = _wished(session, hosting, before, change)
    titles = hosting.title, hosting.title if change.title is None else change.title
    draft = new_change_plan(queries.placement_of(session, hosting), before, after, titles)
    if not draft.body["change"]:
        raise NothingToChange(hosting=hosting.id)
    wish = {
        "size": change.size,
        "title": change.title,
        "inputs": None if change.inputs is None else dict(change.inputs),
        "newest_image": change.newest_image,
    }
    request = add_request(session, actor, hosting, (RequestKind.CHANGE, change.reason, wish), draft)
    reserve_more(session, request, before, after, actor.person_id)
    decide_by_policy(session, actor, request, draft.price, terms)
    return request


def submit_restore(
    session: Session, actor: Actor, reference: str, reason: str, terms: Terms
) -> Request:
    """Ask for what has ended to come back as it was, while its data is kept.

    Raises: NotFound, Forbidden, NotRestorable, RequestOpen, NameTaken, HostnameTaken,
    HostnameLookalike, QuotaExceeded, BudgetExceeded, AgencySuspended.
    """
    hosting = _locked(session, actor, reference)
    require_restorable(hosting)
    present = queries.find_present(session, hosting.agency_id, hosting.name)
    if present is not None:
        raise NameTaken(name=hosting.name, hosting=present.id)
    making = queries.making_of(
        session, hosting, size=hosting.size, inputs=hosting.inputs, image=hosting.image_digest
    )
    place = queries.placement_of(session, hosting)
    draft = new_restore_plan(place, making)
    request = add_request(session, actor, hosting, (RequestKind.RESTORE, reason, {}), draft)
    name = parse_hostname(place.hostname, terms.zone)
    hostnames.claim(session, actor.person_id, hosting.agency_id, hosting.id, name)
    amounts = needs_of(making)
    tenancy.reserve(session, hosting.agency_id, hosting.id, amounts, actor_id=actor.person_id)
    decide_by_policy(session, actor, request, draft.price, terms)
    return request


def require_restorable(hosting: Hosting) -> None:
    """Raise NotRestorable unless a hosting has ended, was live once, and is kept still."""
    is_kept = hosting.purge_after is not None and hosting.purge_after > clock.now()
    was_live = hosting.live_deployment_id is not None
    if hosting.status != HostingStatus.ENDED or not was_live or not (is_kept or hosting.legal_hold):
        raise NotRestorable(present=hosting.status)


def _locked(session: Session, actor: Actor, reference: str) -> Hosting:
    hosting = queries.get_hosting_for(session, actor, reference, Permission.HOSTING_REQUEST)
    lives.signal_life(session, LIFE.kind, hosting.id)  # locks the life first, as its steps do
    session.refresh(hosting, with_for_update=True)
    pending = queries.find_open_request(session, hosting.id)
    if pending is not None:
        raise RequestOpen(request=pending.id)
    return hosting


def _wished(session: Session, hosting: Hosting, before: Making, change: Change) -> Making:
    blueprint, size = before.blueprint, change.size or before.size
    if blueprint.size(size).disk_mib < blueprint.size(before.size).disk_mib:
        raise DiskCannotShrink(size=size, from_mib=blueprint.size(before.size).disk_mib)
    inputs = before.inputs if change.inputs is None else check_inputs(blueprint, change.inputs)
    image = before.image
    if change.newest_image:
        newest = queries.find_image(session, hosting.region_id, blueprint.image)
        image = newest.digest if newest is not None else image
    return queries.making_of(session, hosting, size=size, inputs=inputs, image=image)
