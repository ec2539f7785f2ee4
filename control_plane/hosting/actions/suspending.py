"""A hosting is closed for a while and opened again: its visitors get a page, its data stays."""

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import (
    LIFE,
    SUSPENDABLE,
    NotSuspendable,
    NotSuspended,
    SuspendedByCentre,
)
from control_plane.identity.rules import Actor, Permission
from control_plane.kit import clock
from control_plane.ledger import actions as ledger


def suspend(session: Session, actor: Actor, reference: str, reason: str) -> Hosting:
    """Wish for a hosting to be closed; what the data centre closes, its agency can't open.

    Nothing happens to one that is closed by the same side. Raises: NotFound, Forbidden,
    NotSuspendable.
    """
    hosting = _locked(session, actor, reference)
    by_centre = actor.may(Permission.HOSTING_SUSPEND)
    is_wished = hosting.suspended_at is not None
    if is_wished and (hosting.is_suspended_by_centre or not by_centre):
        return hosting
    if hosting.status not in SUSPENDABLE and not is_wished:
        raise NotSuspendable(present=hosting.status)
    hosting.suspended_at = hosting.suspended_at or clock.now()
    hosting.suspended_by, hosting.suspended_why = actor.person_id, reason
    hosting.is_suspended_by_centre = by_centre
    _write(session, actor, hosting, "hosting.suspension_wished", reason)
    return hosting


def resume(session: Session, actor: Actor, reference: str, reason: str) -> Hosting:
    """Wish for a closed hosting to be open again.

    Raises: NotFound, Forbidden, NotSuspended, SuspendedByCentre.
    """
    hosting = _locked(session, actor, reference)
    if hosting.suspended_at is None:
        raise NotSuspended(present=hosting.status)
    if hosting.is_suspended_by_centre and not actor.may(Permission.HOSTING_SUSPEND):
        raise SuspendedByCentre(reason=hosting.suspended_why)
    hosting.suspended_at, hosting.suspended_by, hosting.suspended_why = None, None, ""
    hosting.is_suspended_by_centre = False
    _write(session, actor, hosting, "hosting.resumption_wished", reason)
    return hosting


def _locked(session: Session, actor: Actor, reference: str) -> Hosting:
    hosting = queries.get_hosting_for(session, actor, reference, Permission.HOSTING_SUSPEND)
    lives.signal_life(session, LIFE.kind, hosting.id)  # locks the life first, as its steps do
    session.refresh(hosting, with_for_update=True)
    return hosting


def _write(session: Session, actor: Actor, hosting: Hosting, action: str, reason: str) -> None:
    hosting.generation += 1
    session.add(hosting)
    session.flush()
    ledger.append(
        session,
        actor_id=actor.person_id,
        action=action,
        subject_id=hosting.id,
        agency_id=hosting.agency_id,
        payload={"reason": reason, "by_centre": hosting.is_suspended_by_centre},
    )
