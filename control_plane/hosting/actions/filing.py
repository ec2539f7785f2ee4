"""A request is filed: written with its plan, and put to the policy."""

from typing import Any

from sqlmodel import Session

from control_plane.hosting import queries
from control_plane.hosting.actions.deciding import approve_by_policy
from control_plane.hosting.actions.terms import Terms
from control_plane.hosting.models import Hosting, Plan, Request
from control_plane.hosting.rules import (
    Draft,
    Question,
    RequestKind,
    RequestStatus,
    Verdict,
    judge,
)
from control_plane.identity.rules import Actor
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.kit.money import Money
from control_plane.ledger import actions as ledger


def add_request(
    session: Session,
    actor: Actor,
    hosting: Hosting,
    wanted: tuple[RequestKind, str, dict[str, Any]],
    draft: Draft,
) -> Request:
    """Write a request of a kind, for a reason, in the words of its wish, with its first plan."""
    kind, reason, wish = wanted
    now = clock.now()
    request = Request(
        id=new_id("req"),
        agency_id=hosting.agency_id,
        hosting_id=hosting.id,
        kind=kind,
        status=RequestStatus.SUBMITTED,
        wish=wish,
        reason=reason,
        submitted_by=actor.person_id,
        submitted_at=now,
    )
    session.add(request)
    session.flush()
    session.add(
        Plan(
            request_id=request.id,
            version=request.version,
            hash=draft.hash,
            body=draft.body,
            currency=draft.price.currency,
            micros_per_hour=draft.price.micros,
            created_at=now,
        )
    )
    session.flush()
    ledger.append(
        session,
        actor_id=actor.person_id,
        action="request.submitted",
        subject_id=request.id,
        agency_id=request.agency_id,
        payload={
            "kind": kind.value,
            "hosting": hosting.id,
            "plan_hash": draft.hash,
            "reason": reason,
        },
    )
    return request


def decide_by_policy(
    session: Session, actor: Actor, request: Request, price: Money, terms: Terms
) -> None:
    """Ask the policy: it approves at once, or says why somebody must decide."""
    verdict = _verdict(session, actor, request, price, terms)
    said = {"rule": verdict.decider_id, "because": verdict.because.model_dump()}
    request.wish = {**request.wish, "policy": said}  # a new value: a changed one isn't noticed
    session.add(request)
    if verdict.approves:
        approve_by_policy(session, request, verdict)


def _verdict(
    session: Session, actor: Actor, request: Request, price: Money, terms: Terms
) -> Verdict:
    hosting = queries.get_hosting(session, request.hosting_id)
    body = queries.get_plan(session, request).body
    names = queries.list_blueprint_names(session, {hosting.blueprint_version_id})
    question = Question(
        kind=RequestKind(request.kind),
        blueprint=names[hosting.blueprint_version_id],
        size=body.get("size", hosting.size),
        roles=actor.agency_roles.get(request.agency_id, frozenset()),
        price=price,
        raises_cost="before" not in body or price.micros > body["before"]["micros_per_hour"],
    )
    return judge(terms.policy, question)
