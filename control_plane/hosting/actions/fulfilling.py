"""What becomes of approved requests: decided anew, begun, fulfilled, or given up.

Each can be repeated. `actor_id` is the life that carries them out, or who decides on them.
"""

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.actions.recording import set_hosting_status, set_request_status
from control_plane.hosting.actions.reserving import needs_of
from control_plane.hosting.models import Plan, Request
from control_plane.hosting.rules import LIFE, HostingStatus, RequestKind, RequestStatus
from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.tenancy import actions as tenancy

_R = RequestStatus
_MAKING = (RequestKind.CREATE, RequestKind.RESTORE)


def reopen(session: Session, actor_id: str, request_id: str) -> None:
    """Have a plan that changed since its approval decided anew, in a new version.

    What was reserved stays; the next approval reserves what the new plan costs. Does nothing if
    the plan has not changed.
    """
    request = queries.lock_request(session, session.get_one(Request, request_id))
    draft = queries.find_changed_plan(session, request)
    if draft is None or request.status != _R.APPROVED:
        return
    before = queries.get_plan(session, request).hash
    request.version += 1
    session.add(
        Plan(
            request_id=request.id,
            version=request.version,
            hash=draft.hash,
            body=draft.body,
            currency=draft.price.currency,
            micros_per_hour=draft.price.micros,
            created_at=clock.now(),
        )
    )
    set_request_status(
        session, actor_id, request, _R.SUBMITTED, plan_hash=draft.hash, plan_hash_before=before
    )
    life = lives.find_life(session, LIFE.kind, request.hosting_id)
    if life is not None:
        lives.add_event(session, life.id, life.step, "plan_changed", {"version": request.version})


def begin_change(session: Session, actor_id: str, request_id: str) -> None:
    """Take an approved change for the wish from now on. Ask `queries.find_changed_plan` first."""
    request = session.get_one(Request, request_id)
    if request.status != _R.APPROVED or queries.is_as_planned(session, request):
        return
    hosting = queries.get_hosting(session, request.hosting_id)
    plan = queries.get_plan(session, request)
    hosting.size, hosting.inputs = plan.body["size"], plan.body["inputs"]
    hosting.image_digest, hosting.title = plan.body["image"], plan.body["title"]
    hosting.generation += 1
    session.add(hosting)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action="hosting.change_begun",
        subject_id=hosting.id,
        agency_id=hosting.agency_id,
        payload={"request": request.id, "plan_hash": plan.hash, "change": plan.body["change"]},
    )


def begin_restoring(session: Session, actor_id: str, request: Request) -> None:
    """Wish again for what has ended: nothing of it will be destroyed."""
    hosting = queries.get_hosting(session, request.hosting_id)
    plan = queries.get_plan(session, request)
    hosting.image_digest = plan.body["image"]
    hosting.ended_at, hosting.purge_after = None, None
    hosting.generation += 1
    session.add(hosting)
    set_hosting_status(
        session, actor_id, hosting, HostingStatus.BUILDING, request=request.id, plan_hash=plan.hash
    )


def fulfil(session: Session, actor_id: str, hosting_id: str) -> None:
    """Close the approved requests whose wish is fact now, and commit what they reserved."""
    tenancy.commit_reservation(session, hosting_id, actor_id=actor_id)
    for kind in _MAKING:
        request = queries.find_open_request(session, hosting_id, kind)
        if request is not None and request.status == _R.APPROVED:
            set_request_status(session, actor_id, request, _R.FULFILLED)
    change = queries.find_open_request(session, hosting_id, RequestKind.CHANGE)
    if change is None or change.status != _R.APPROVED or not queries.is_as_planned(session, change):
        return
    set_request_status(session, actor_id, change, _R.FULFILLED)
    session.flush()
    amounts = needs_of(queries.making_now(session, queries.get_hosting(session, hosting_id)))
    tenancy.take_over(session, hosting_id, amounts, of=change.id, actor_id=actor_id)


def abandon_request(
    session: Session, actor_id: str, hosting_id: str, kind: RequestKind, reason: str = ""
) -> None:
    """Give up what is open of a kind about a hosting that ends, and what it held."""
    request = queries.find_open_request(session, hosting_id, kind)
    if request is not None:
        set_request_status(session, actor_id, request, _R.ABANDONED, reason=reason)
        tenancy.release_reservation(session, request.id, actor_id=actor_id)
