"""What a hosting's life writes down of its steps; each can be repeated.

`actor_id` is `life:lif_…`, or the operator who gives a hosting up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.engine.models import LifeState
from control_plane.hosting import queries
from control_plane.hosting.actions.attaching import detach_all, leave_attachments
from control_plane.hosting.actions.fulfilling import abandon_request, fulfil
from control_plane.hosting.actions.recording import set_hosting_status, set_request_status
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    LEAVING,
    LIFE,
    HostingStatus,
    RequestKind,
    RequestStatus,
)
from control_plane.hostnames import actions as hostnames
from control_plane.kit import clock
from control_plane.logs import actions as logs
from control_plane.releases.actions import cancel_unfinished
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy import queries as tenancy_queries

DEFAULT_RETENTION = timedelta(days=30)  # of a hosting that was given up: no plan said how long
_H, _R = HostingStatus, RequestStatus


def begin_building(session: Session, actor_id: str, hosting_id: str) -> None:
    """Take the approved plan for the truth: addresses are given, the tenant's life begins.

    Ask `queries.find_changed_plan` first. Raises: RegionFull.
    """
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.status in LEAVING:
        return
    tenancy.allocate(session, hosting.region_id, hosting.id, actor_id=actor_id)
    tenancy.begin_tenant(session, hosting.tenant_id, actor_id=actor_id)
    plan = queries.get_plan(session, queries.get_create_request(session, hosting_id))
    hosting.image_digest = plan.body["image"]
    if hosting.status in {_H.REQUESTED, _H.FAILED}:
        set_hosting_status(session, actor_id, hosting, _H.BUILDING, plan_hash=plan.hash)
    session.add(hosting)


def mark_active(
    session: Session, actor_id: str, hosting_id: str, *, deployment_id: str, generation: int
) -> None:
    """Write that this generation was seen through the edge, with this deployment's nonce.

    Fulfils the requests that wished for it, with what they reserved; the hostname is served.
    """
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.status in LEAVING:
        return
    now = clock.now()
    hosting.observed_at, hosting.observed_generation = now, generation
    hosting.live_deployment_id = deployment_id
    hosting.active_at = hosting.active_at or now
    session.add(hosting)
    if hosting.status != _H.ACTIVE:
        set_hosting_status(session, actor_id, hosting, _H.ACTIVE, deployment=deployment_id)
    hostnames.mark_serving(session, actor_id, hosting_id)
    fulfil(session, actor_id, hosting_id)


def note_observed(
    session: Session, hosting_id: str, *, drift: Sequence[str] = (), generation: int | None = None
) -> None:
    """Write that a watch looked, and the drift that it goes to mend; no new state.

    `generation` is the one that was seen and probed; None if it was not as wished.
    """
    hosting = queries.get_hosting(session, hosting_id)
    hosting.observed_at = clock.now()
    hosting.drift = list(drift) or None
    if generation is not None:
        hosting.observed_generation = generation
        hosting.probed_at, hosting.probe_failed_at = hosting.observed_at, None
    session.add(hosting)


@dataclass(frozen=True, slots=True)
class Configured:
    """What a run has made so: the wish that it had, and how the server was seen after it."""

    hosting_id: str
    wish: str
    found: str


def note_configured(session: Session, configured: Configured) -> None:
    """Write that the inside of the server is as a wish had it; drift is told from this look."""
    hosting = queries.get_hosting(session, configured.hosting_id)
    hosting.configured_wish, hosting.configured_as = configured.wish, configured.found
    session.add(hosting)


def return_to_live(session: Session, hosting_id: str, given_up: str) -> None:
    """Wish again for what is live, where the deployment that was given up was the wish."""
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.wished_deployment_id == given_up:
        hosting.wished_deployment_id = hosting.live_deployment_id
        session.add(hosting)


def mark_suspended(session: Session, actor_id: str, hosting_id: str, generation: int) -> None:
    """Write that it is closed as this generation wished: visitors were seen to get the page."""
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.status in LEAVING:
        return
    hosting.observed_at, hosting.observed_generation = clock.now(), generation
    session.add(hosting)
    if hosting.status != _H.SUSPENDED:
        set_hosting_status(session, actor_id, hosting, _H.SUSPENDED, reason=hosting.suspended_why)


def quarantine(session: Session, actor_id: str, hosting_id: str, reached: Sequence[str]) -> None:
    """Take a hosting out of service whose isolation failed; nothing of it is lost."""
    hosting = queries.get_hosting(session, hosting_id)
    now = clock.now()
    hosting.probed_at = now
    hosting.probe_failed_at = hosting.probe_failed_at or now
    session.add(hosting)
    if hosting.status not in LEAVING | {_H.QUARANTINED}:
        set_hosting_status(session, actor_id, hosting, _H.QUARANTINED, reached=sorted(reached))


def restore_service(session: Session, actor_id: str, hosting_id: str) -> None:
    """Put a quarantined hosting back: it was found isolated, and seen through the edge."""
    hosting = queries.get_hosting(session, hosting_id)
    now = clock.now()
    hosting.probed_at, hosting.observed_at, hosting.probe_failed_at = now, now, None
    session.add(hosting)
    if hosting.status == _H.QUARANTINED:
        set_hosting_status(session, actor_id, hosting, _H.ACTIVE, isolated=True)


def mark_failed(
    session: Session, actor_id: str, hosting_id: str, code: str, facts: Mapping[str, object]
) -> None:
    """Write that the hosting's life stopped. One that is over stays so: the life alone says it."""
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.status in {_H.FAILED, _H.CANCELLED, _H.ENDED, _H.PURGED}:
        return
    plain = {name: str(value) for name, value in facts.items()}
    set_hosting_status(session, actor_id, hosting, _H.FAILED, code=code, facts=plain)


def begin_ending(session: Session, actor_id: str, hosting_id: str) -> None:
    """Write that the hosting is being taken out of service; what was still being made is not."""
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.status in {_H.CANCELLED, _H.ENDED, _H.PURGED}:
        return
    for kind in set(RequestKind) - {RequestKind.END}:
        abandon_request(session, actor_id, hosting_id, kind)
    cancel_unfinished(session, actor_id, hosting_id)
    detach_all(session, actor_id, hosting_id)
    if hosting.status != _H.ENDING:
        set_hosting_status(session, actor_id, hosting, _H.ENDING)


def mark_ended(session: Session, actor_id: str, hosting_id: str) -> None:
    """Write that it is out of service: its means and its name are free, its data is kept."""
    hosting = queries.get_hosting(session, hosting_id)
    if hosting.status in {_H.CANCELLED, _H.ENDED, _H.PURGED}:
        return
    request = queries.find_end_request(session, hosting_id)
    now = clock.now()
    hosting.ended_at = now
    hosting.purge_after = now + _retention(session, request)
    set_hosting_status(
        session, actor_id, hosting, _H.ENDED, purge_after=hosting.purge_after.isoformat()
    )
    tenancy.release_reservation(session, hosting_id, actor_id=actor_id)
    hostnames.release(session, actor_id, hosting_id)
    leave_attachments(session, actor_id, hosting_id)
    if request is not None and request.status == _R.APPROVED:
        set_request_status(session, actor_id, request, _R.FULFILLED)


def mark_purged(session: Session, actor_id: str, hosting_id: str) -> None:
    """Write that nothing is left: its addresses are free again after a while."""
    hosting = queries.get_hosting(session, hosting_id)
    tenancy.quarantine(session, hosting_id, actor_id=actor_id)
    logs.forget_all(session, hosting_id)
    if hosting.status not in {_H.CANCELLED, _H.PURGED}:
        set_hosting_status(session, actor_id, hosting, _H.PURGED)


def cancel(session: Session, actor_id: str, hosting: Hosting) -> None:
    """Let a hosting of which nothing was made come to nothing; its life sees it and is over."""
    set_hosting_status(session, actor_id, hosting, _H.CANCELLED)
    tenancy.release_reservation(session, hosting.id, actor_id=actor_id)
    hostnames.release(session, actor_id, hosting.id)
    cancel_unfinished(session, actor_id, hosting.id)
    life = lives.find_life(session, LIFE.kind, hosting.id)
    if life is not None and life.state == LifeState.STOPPED:
        lives.request_ending(session, LIFE.kind, hosting.id)  # a mere signal doesn't move it


def abandon(session: Session, actor_id: str, hosting_id: str, reason: str) -> None:
    """Give a hosting up: an operator's last means for a life that can't go on.

    Of one for which nothing was made yet nothing remains; any other one ends, and its data is
    kept for the usual time. Raises: HostingMoveRefused if it is over already.
    """
    lives.signal_life(session, LIFE.kind, hosting_id)
    hosting = queries.get_hosting(session, hosting_id)
    for kind in RequestKind:
        abandon_request(session, actor_id, hosting_id, kind, reason)
    if tenancy_queries.find_allocation(session, hosting_id) is None:  # so nothing was made
        cancel(session, actor_id, hosting)
    else:
        set_hosting_status(session, actor_id, hosting, _H.ENDING, reason=reason)
    lives.request_ending(session, LIFE.kind, hosting_id)


def _retention(session: Session, request: Request | None) -> timedelta:
    if request is None or request.status not in {_R.APPROVED, _R.FULFILLED}:
        return DEFAULT_RETENTION
    body = queries.get_plan(session, request).body
    days: int = body["destroy"][0]["after_days"]
    return timedelta(days=days)
