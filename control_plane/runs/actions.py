"""What the lives write down of runs: begun, taken by the runner, how far it is, over."""

from dataclasses import asdict, dataclass

from sqlmodel import Session

from control_plane.kit import clock, metrics
from control_plane.ledger import actions as ledger
from control_plane.ports.automation.port import RunFact, RunState
from control_plane.runs import queries
from control_plane.runs.models import Run, RunEvent
from control_plane.runs.rules import UNFINISHED, move


@dataclass(frozen=True, slots=True)
class RunWish:
    """A run to be; `wish_digest` is of all that it is to make so."""

    run_id: str
    agency_id: str
    hosting_id: str
    playbook: str
    wish_digest: str


def begin_run(session: Session, actor_id: str, wish: RunWish) -> None:
    """Write down that there is to be a run, before anything is done for it. Idempotent."""
    if queries.find_run(session, wish.run_id) is not None:
        return
    run = Run(
        id=wish.run_id,
        agency_id=wish.agency_id,
        hosting_id=wish.hosting_id,
        playbook=wish.playbook,
        wish_digest=wish.wish_digest,
        status=RunState.QUEUED,
        created_at=clock.now(),
    )
    session.add(run)
    session.flush()
    _log(session, actor_id, run, "begun")


def mark_taken(session: Session, run_id: str) -> None:
    """Write that the runner has the run; from now on it may be under way."""
    run = session.get_one(Run, run_id)
    if run.status == RunState.QUEUED:
        run.status, run.started_at = move(run.status, RunState.RUNNING), clock.now()
        session.add(run)


def record(session: Session, fact: RunFact) -> None:
    """Write down what was seen of a run that goes on: that it lives, and what is new of it."""
    run = session.get_one(Run, fact.run_id)
    known = queries.highest_event(session, run.id)
    for event in fact.events:
        if event.number > known:
            session.add(
                RunEvent(
                    run_id=run.id,
                    number=event.number,
                    at=event.at,
                    kind=event.kind,
                    task=event.task,
                    text=event.text,
                )
            )
    run.pid = fact.pid or run.pid
    run.heartbeat_at = fact.heartbeat_at or run.heartbeat_at
    session.add(run)


def finish_run(session: Session, actor_id: str, fact: RunFact) -> None:
    """Write down how a run ended; one that the runner has never heard of is lost. Idempotent."""
    run = session.get_one(Run, fact.run_id)
    if run.status not in UNFINISHED:
        return
    record(session, fact)
    status = RunState.LOST if fact.state == RunState.ABSENT else fact.state
    run.status, run.reason = move(run.status, status), fact.reason
    run.counts, run.result, run.output = asdict(fact.counts), dict(fact.result), fact.output
    run.finished_at = clock.now()
    session.add(run)
    session.flush()
    seconds = (run.finished_at - (run.started_at or run.created_at)).total_seconds()
    metrics.RUN_SECONDS.labels(run.playbook, run.status).observe(max(0.0, seconds))
    _log(session, actor_id, run, run.status)


def cancel_run(session: Session, actor_id: str, run_id: str) -> None:
    """Write down that a run is not wanted any more, and that nothing of it is left."""
    run = session.get_one(Run, run_id)
    if run.status in UNFINISHED:
        run.status, run.finished_at = move(run.status, RunState.CANCELLED), clock.now()
        session.add(run)
        session.flush()
        _log(session, actor_id, run, run.status)


def _log(session: Session, actor_id: str, run: Run, what: str) -> None:
    ledger.append(
        session,
        actor_id=actor_id,
        action=f"run.{what}",
        subject_id=run.id,
        agency_id=run.agency_id,
        payload={
            "hosting": run.hosting_id,
            "playbook": run.playbook,
            "wish": run.wish_digest,
            "reason": run.reason,
        },
    )
