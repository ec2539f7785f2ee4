"""Claim, effect, outcome: how one step of a life is run, exactly once as far as rows can tell."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

from sqlmodel import Session, col, or_, select

from control_plane.engine.lives import EVERY_KIND, add_event
from control_plane.engine.models import EnginePause, Life, LifeState
from control_plane.engine.outcome import Again, Done, Failed, Go, Outcome
from control_plane.engine.registry import Claim, Flow, Registry
from control_plane.kit import metrics
from control_plane.kit.db import Database, database_now
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.port import Fence

Loaded = TypeVar("Loaded")
log = get_log("engine")

LEASE = timedelta(seconds=90)  # longer than the longest step: deliveries are cut to 30 s pieces
MAX_STEPS_PER_CALL = 25  # then the sweep takes over, so that one life can't hold a thread
MAX_CRASHES = 6  # a step that raised what nobody foresaw so often in a row stops its life
FIRST_BACK_OFF = timedelta(milliseconds=250)
LONGEST_BACK_OFF = timedelta(seconds=60)


class StaleOutcomeError(Exception):
    """Another claim has been made since: this outcome must not be recorded."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step is given; see `registry.Ctx`."""

    claim: Claim
    ports: Ports
    db: Database

    @property
    def fence(self) -> Fence:
        """The lease, for calls that change the outside world."""
        return Fence(self.claim.life_id, self.claim.counter)

    def load(self, read: Callable[[Session], Loaded]) -> Loaded:
        """Run `read` in a short read transaction that is over when this returns."""
        with self.db.read() as session:
            return read(session)

    def holds_lease(self) -> bool:
        """Whether the lease is still ours, read anew."""
        return self.load(self._is_held)

    def _is_held(self, session: Session) -> bool:
        life = session.get(Life, self.claim.life_id)
        return (
            life is not None
            and life.lease_counter == self.claim.counter
            and life.lease_until is not None
            and life.lease_until > database_now(session)
        )


class Engine:
    """Runs steps; safe to use from several threads and several processes at once."""

    def __init__(self, db: Database, ports: Ports, registry: Registry, holder: str) -> None:
        self._db, self._ports, self._registry, self._holder = db, ports, registry, holder

    def advance(self, life_id: str) -> int:
        """Run the life's steps while it is due at once; return how many ran."""
        for done in range(MAX_STEPS_PER_CALL):
            if not self.run_step(life_id):
                return done
        return MAX_STEPS_PER_CALL

    def run_step(self, life_id: str) -> bool:
        """Claim the life and run one step. False if it was not ours to run."""
        claim = self._claim(life_id)
        if claim is None:
            return False
        flow = self._registry.find(claim.kind, claim.flow_version)
        if flow is None:  # the claim asked for a known flow
            msg = f"no flow {claim.kind} {claim.flow_version}"
            raise LookupError(msg)
        started = time.monotonic()
        outcome = self._effect(flow, claim)
        try:
            self._record(flow, claim, outcome)
        except StaleOutcomeError:
            metrics.STALE_OUTCOMES.labels(claim.kind).inc()
            log.warning(
                "outcome_discarded", life=claim.life_id, step=claim.step, counter=claim.counter
            )
            return False
        name = type(outcome).__name__.lower()
        metrics.STEP_SECONDS.labels(claim.kind, claim.step, name).observe(
            time.monotonic() - started
        )
        return True

    def _claim(self, life_id: str) -> Claim | None:
        with self._db.begin() as session:
            now = database_now(session)
            life = session.exec(_claimable(life_id, now)).first()
            if life is None or self._registry.find(life.kind, life.flow_version) is None:
                return None
            if _is_paused(session, life.kind):
                return None
            flow = self._registry.find(life.kind, life.flow_version)
            if flow and life.ending_at and not life.is_winding_down:
                _enter(life, flow, flow.ending, now, timedelta())
                life.is_winding_down = True
                add_event(session, life.id, life.step, "ending_began")
            life.lease_counter += 1
            life.lease_until = now + LEASE
            life.lease_holder = self._holder
            session.add(life)
            return _claim_of(life, now)

    def _effect(self, flow: Flow, claim: Claim) -> Outcome:
        step = flow.steps.get(claim.step)
        if step is None:
            return Failed("step_unknown", {"step": claim.step})
        try:
            return step.run(StepContext(claim, self._ports, self._db))
        except Unavailable as error:
            return Again(error.code, facts=error.facts)
        except Refused as error:
            return Failed(error.code, error.facts)
        except Exception:  # the boundary: whatever a step did not foresee must not kill the worker
            log.exception("step_crashed", life=claim.life_id, kind=claim.kind, step=claim.step)
            if claim.attempts + 1 >= MAX_CRASHES:
                return Failed("step_crashed", {"step": claim.step})
            return Again("step_crashed")

    def _record(self, flow: Flow, claim: Claim, outcome: Outcome) -> None:
        with self._db.begin() as session:
            life = session.exec(
                select(Life).where(col(Life.id) == claim.life_id).with_for_update()
            ).one()
            if life.lease_counter != claim.counter or life.state != LifeState.LIVE:
                raise StaleOutcomeError
            now = database_now(session)
            life.lease_until, life.lease_holder = None, None
            match outcome:
                case Go():
                    self._go(session, flow, life, outcome, now)
                case Again():
                    _again(session, life, outcome, now)
                case Failed():
                    _stop(session, life, outcome)
                    if flow.on_stopped is not None:
                        flow.on_stopped(session, claim, outcome.code, outcome.facts)
                case Done():
                    life.state, life.attempts, life.why = LifeState.DONE, 0, None
                    add_event(session, life.id, life.step, "life_ended")
                case _:
                    assert_never(outcome)
            if life.signals != claim.signals and life.state == LifeState.LIVE:
                life.due_at = now  # a signal came while the step ran
            session.add(life)
            session.flush()
            outcome.writes(session)

    def _go(self, session: Session, flow: Flow, life: Life, outcome: Go, now: datetime) -> None:
        if outcome.step not in flow.steps:
            msg = f"{flow.kind}: step {life.step} goes to unknown {outcome.step}"
            raise LookupError(msg)
        if outcome.step != life.step:
            add_event(session, life.id, life.step, "step_finished", attempt=life.attempts)
        _enter(life, flow, outcome.step, now, outcome.after)


def _claimable(life_id: str, now: datetime) -> Any:
    return (
        select(Life)
        .where(
            col(Life.id) == life_id,
            col(Life.state) == LifeState.LIVE,
            col(Life.due_at) <= now,
            or_(col(Life.lease_until).is_(None), col(Life.lease_until) <= now),
        )
        .with_for_update(skip_locked=True)  # SQLite ignores it; BEGIN IMMEDIATE serves there
    )


def _is_paused(session: Session, kind: str) -> bool:
    query = select(EnginePause.kind).where(col(EnginePause.kind).in_([kind, EVERY_KIND]))
    return session.exec(query).first() is not None


def _claim_of(life: Life, now: datetime) -> Claim:
    return Claim(
        life_id=life.id,
        kind=life.kind,
        flow_version=life.flow_version,
        subject_id=life.subject_id,
        agency_id=life.agency_id,
        step=life.step,
        counter=life.lease_counter,
        signals=life.signals,
        attempts=life.attempts,
        entered_at=life.entered_at,
        is_overdue=life.deadline_at <= now,
        is_ending=life.is_winding_down,
    )


def _enter(life: Life, flow: Flow, step: str, now: datetime, after: timedelta) -> None:
    life.step, life.entered_at, life.attempts = step, now, 0
    life.due_at = now + after
    life.deadline_at = now + after + flow.steps[step].deadline
    life.why, life.alerted_at = None, None


def _again(session: Session, life: Life, outcome: Again, now: datetime) -> None:
    life.attempts += 1
    if life.why != outcome.why:
        add_event(session, life.id, life.step, outcome.why, outcome.facts, life.attempts)
    life.why = outcome.why
    life.due_at = now + (back_off(life.attempts) if outcome.after is None else outcome.after)


def _stop(session: Session, life: Life, outcome: Failed) -> None:
    life.state, life.why = LifeState.STOPPED, None
    life.failure_code, life.failure_facts = outcome.code, _plain(outcome.facts)
    add_event(
        session, life.id, life.step, "life_stopped", {"code": outcome.code, **life.failure_facts}
    )


def back_off(attempt: int) -> timedelta:
    """Return the pause before the next try: doubling, at most a minute, give or take a quarter."""
    doubled: timedelta = FIRST_BACK_OFF * 2 ** min(attempt - 1, 12)
    return min(doubled, LONGEST_BACK_OFF) * random.uniform(0.75, 1.25)  # noqa: S311  # no secret


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v if isinstance(v, (str, int, float, bool, type(None))) else str(v)
        for k, v in facts.items()
    }
