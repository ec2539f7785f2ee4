"""Requests are decided on: by a person or a policy, on one version and one plan's hash."""

from dataclasses import dataclass, replace
from typing import NoReturn

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.actions.fulfilling import begin_restoring, reopen
from control_plane.hosting.actions.living import cancel
from control_plane.hosting.actions.recording import set_hosting_status, set_request_status
from control_plane.hosting.actions.reserving import needs_of, reserve_more
from control_plane.hosting.models import Decision, Plan, Request
from control_plane.hosting.rules import (
    ENDABLE,
    LIFE,
    AlreadyDecided,
    Answer,
    HostingStatus,
    NotEndable,
    NotRestorable,
    OwnRequest,
    PlanChanged,
    RequestKind,
    RequestStatus,
    Verdict,
)
from control_plane.hostnames import actions as hostnames
from control_plane.identity.rules import Actor, Permission
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.kit.money import Money
from control_plane.tenancy import actions as tenancy


@dataclass(frozen=True, slots=True)
class _Vote:
    decider_id: str
    answer: Answer
    reason: str = ""
    because: dict[str, str] | None = None


def approve(
    session: Session, actor: Actor, request_id: str, plan_hash: str, reason: str = ""
) -> Request:
    """Approve exactly the plan with this hash.

    Raises: NotFound, Forbidden, AlreadyDecided, OwnRequest, PlanChanged; QuotaExceeded and
    BudgetExceeded where the plan had changed and costs more now.
    """
    request = _open_for(session, actor, request_id, Permission.REQUEST_DECIDE)
    plan = _plan_to_decide(session, actor, request, plan_hash)
    _carry_out(session, request, plan, _Vote(actor.person_id, Answer.APPROVE, reason))
    return request


def approve_by_policy(session: Session, request: Request, verdict: Verdict) -> None:
    """Approve a request that was just submitted, in the policy's name and words."""
    plan = queries.get_plan(session, request)
    because = verdict.because.model_dump()
    _carry_out(session, request, plan, _Vote(verdict.decider_id, Answer.APPROVE, because=because))


def reject(
    session: Session, actor: Actor, request_id: str, reason: str, plan_hash: str | None = None
) -> Request:
    """Say no, and why; what was reserved and claimed is free again.

    Raises: NotFound, Forbidden, AlreadyDecided, OwnRequest, PlanChanged.
    """
    request = _open_for(session, actor, request_id, Permission.REQUEST_DECIDE)
    plan = _plan_to_decide(session, actor, request, plan_hash)
    _add_decision(session, request, plan, _Vote(actor.person_id, Answer.REJECT, reason))
    set_request_status(
        session,
        actor.person_id,
        request,
        RequestStatus.REJECTED,
        plan_hash=plan.hash,
        reason=reason,
    )
    _let_go(session, actor.person_id, request)
    return request


def withdraw(session: Session, actor: Actor, request_id: str, reason: str = "") -> Request:
    """Take a request back that nobody has decided on; anybody who may ask in the agency may.

    Raises: NotFound, Forbidden, AlreadyDecided.
    """
    request = _open_for(session, actor, request_id, Permission.HOSTING_REQUEST)
    set_request_status(session, actor.person_id, request, RequestStatus.WITHDRAWN, reason=reason)
    _let_go(session, actor.person_id, request)
    return request


def _open_for(session: Session, actor: Actor, request_id: str, permission: Permission) -> Request:
    request = queries.get_request_for(session, actor, request_id, permission)
    # The life first, as its own steps lock it before they write: so nobody waits in a circle.
    lives.signal_life(session, LIFE.kind, request.hosting_id)
    queries.lock_request(session, request)
    if request.status != RequestStatus.SUBMITTED:
        _refuse_decided(session, request)
    return request


def _refuse_decided(session: Session, request: Request) -> NoReturn:
    decisions = [
        {
            "decider": decision.decider_id,
            "answer": decision.answer,
            "version": decision.request_version,
            "decided_at": decision.decided_at,
            "reason": decision.reason,
        }
        for decision in queries.list_decisions(session, request.id)
    ]
    raise AlreadyDecided(request=request.id, present=request.status, decisions=decisions)


def _plan_to_decide(
    session: Session, actor: Actor, request: Request, plan_hash: str | None
) -> Plan:
    if request.submitted_by == actor.person_id:
        raise OwnRequest(request=request.id)
    plan = queries.get_plan(session, request)
    if plan_hash is not None and plan_hash != plan.hash:
        raise PlanChanged(plan_hash=plan.hash, version=request.version)
    return plan


def _carry_out(session: Session, request: Request, plan: Plan, vote: _Vote) -> None:
    _add_decision(session, request, plan, vote)
    set_request_status(
        session,
        vote.decider_id,
        request,
        RequestStatus.APPROVED,
        plan_hash=plan.hash,
        reason=vote.reason,
        because=vote.because,
    )
    if request.kind == RequestKind.END:
        _begin_end(session, vote.decider_id, request)
        return
    if request.version > 1:
        _reserve_anew(session, vote.decider_id, request, plan)
    if request.kind == RequestKind.RESTORE:
        _begin_restore(session, vote.decider_id, request)
        return
    lives.signal_life(session, LIFE.kind, request.hosting_id)


def _add_decision(session: Session, request: Request, plan: Plan, vote: _Vote) -> None:
    session.add(
        Decision(
            id=new_id("dec"),
            agency_id=request.agency_id,
            request_id=request.id,
            request_version=request.version,
            plan_hash=plan.hash,
            decider_id=vote.decider_id,
            answer=vote.answer,
            reason=vote.reason,
            because=vote.because,
            decided_at=clock.now(),
        )
    )
    session.flush()


def _begin_end(session: Session, actor_id: str, request: Request) -> None:
    hosting = queries.get_hosting(session, request.hosting_id)
    if hosting.status not in ENDABLE:
        raise NotEndable(present=hosting.status)
    set_hosting_status(session, actor_id, hosting, HostingStatus.ENDING, request=request.id)
    lives.request_ending(session, LIFE.kind, hosting.id)


def _begin_restore(session: Session, actor_id: str, request: Request) -> None:
    if queries.find_changed_plan(session, request) is not None:
        reopen(session, actor_id, request.id)
        return
    hosting = queries.get_hosting(session, request.hosting_id)
    # The life is locked, and its destruction is a step of its own: at rest nothing is lost yet.
    is_kept = lives.revive_life(
        session, LIFE.kind, hosting.id, resting_at="retain", step="announce"
    )
    if hosting.status != HostingStatus.ENDED or not is_kept:
        raise NotRestorable(present=hosting.status)
    begin_restoring(session, actor_id, request)


def _reserve_anew(session: Session, actor_id: str, request: Request, plan: Plan) -> None:
    hosting = queries.get_hosting(session, request.hosting_id)
    before = queries.making_now(session, hosting)
    price = Money(plan.currency, plan.micros_per_hour)
    after = replace(before, size=plan.body["size"], price=price)
    if request.kind == RequestKind.CHANGE:
        reserve_more(session, request, before, after, actor_id)
    else:
        tenancy.reserve(session, request.agency_id, hosting.id, needs_of(after), actor_id=actor_id)


def _let_go(session: Session, actor_id: str, request: Request) -> None:
    match RequestKind(request.kind):
        case RequestKind.CREATE:
            cancel(session, actor_id, queries.get_hosting(session, request.hosting_id))
        case RequestKind.CHANGE:
            tenancy.release_reservation(session, request.id, actor_id=actor_id)
        case RequestKind.RESTORE:
            tenancy.release_reservation(session, request.hosting_id, actor_id=actor_id)
            hostnames.release(session, actor_id, request.hosting_id)
        case RequestKind.END:
            pass  # it goes on
