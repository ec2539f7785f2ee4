"""Claim, effect, outcome: how one step of a life is run, exactly once as far as rows can tell."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

from sqlmodel import Session, col, select, update

from control_plane.engine.bell import Bell, SilentBell, ringing
from control_plane.engine.lanes import Lanes
from control_plane.engine.lives import add_event, is_claimable
from control_plane.engine.models import Life, LifeState
from control_plane.engine.outcome import Again, Done, Failed, Go, Outcome
from control_plane.engine.registry import Claim, Flow, Registry
from control_plane.engine.sweep import BATCH, find_due_lives
from control_plane.kit import metrics
from control_plane.kit.db import Database, database_now
from control_plane.kit.errors import Problem, Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.port import Fence

Loaded = TypeVar("Loaded")
log = get_log("engine")

LEASE = timedelta(seconds=90)  # longer than the longest step: deliveries are cut to 30 s pieces
MAX_STEPS_PER_CALL = 25  # then the sweep takes over, so that one life can't hold a thread
MAX_CRASHES = 6  # a step that raised what nobody foresaw so often in a row stops its life
MANY = 1_000_000  # places in a lane: no bound
MAX_KNOWN = 100_000  # lives whose lane is remembered
CRASHED = "step_crashed"
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
    """Runs steps; safe to use from several threads and several processes at once.

    `holder` names this process in the leases it takes; `bell` is rung for the lives that outcomes
    wake. `lanes` bounds how many steps may run that depend on the same thing outside.
    """

    def __init__(
        self,
        db: Database,
        ports: Ports,
        registry: Registry,
        holder: str,
        bell: Bell | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self._db, self._ports, self._registry, self._holder = db, ports, registry, holder
        self._bell: Bell = bell or SilentBell()
        self._lanes = lanes or Lanes(MANY)
        self._lane_by_life: dict[str, str | None] = {}
        self._running: dict[object, str] = {}  # by call: two messages may name one life
        self._has_lost = False

    def advance(self, life_id: str) -> int:
        """Run the life's steps while it is due at once; return how many ran.

        Without a database nothing runs, nothing is lost and nothing is raised. Where its lane is
        full, the life is rung for when there is a place.
        """
        try:
            lane = self._lane_of(life_id)
        except Unavailable as error:
            log.warning("database_away", life=life_id, code=error.code)
            return 0
        if lane is None:
            return self._advance(life_id)
        if not self._lanes.enter(lane, life_id):
            return 0
        try:
            return self._advance(life_id)
        finally:
            following = self._lanes.leave(lane)
            if following is not None:
                self._bell.ring([following])

    def find_due(self) -> Sequence[str]:
        """Return the lives to ring for that nobody rang for, longest due first.

        Without those that wait for their lane: they must not crowd out others, and are rung for
        by who leaves it. Raises: Unavailable.
        """
        waiting = self._lanes.list_waiting()
        due = find_due_lives(self._db, self._registry, BATCH + len(waiting))
        return [life_id for life_id in due if life_id not in waiting]

    def _advance(self, life_id: str) -> int:
        for done in range(MAX_STEPS_PER_CALL):
            try:
                if not self.run_step(life_id):
                    return done
            except Unavailable as error:
                self._has_lost = True  # perhaps a lease: where the claim was made
                log.warning("database_away", life=life_id, code=error.code)
                return done
        return MAX_STEPS_PER_CALL

    def _lane_of(self, life_id: str) -> str | None:
        if life_id not in self._lane_by_life:
            if len(self._lane_by_life) >= MAX_KNOWN:
                self._lane_by_life.clear()
            with self._db.read() as session:
                life = session.get(Life, life_id)
                if life is None:
                    return None
                flow = self._registry.find(life.kind, life.flow_version)
                if flow is None:
                    return None
                self._lane_by_life[life_id] = flow.lane(session, life.subject_id)
        return self._lane_by_life.get(life_id)

    def run_step(self, life_id: str) -> bool:
        """Claim the life and run one step. False if it was not ours to run.

        Raises: Unavailable where the database is away; the lease then waits to be released.
        """
        call = object()
        self._running[call] = life_id
        try:
            claimed = self._claim(life_id)
            return claimed is not None and self._run(*claimed)
        finally:
            del self._running[call]

    def release_leases(self) -> None:
        """Give back leases that no step of this process is behind any more.

        For the start of a process that replaces one of the same name, and for the time after the
        database was away. The counter stays, so an outcome that comes late is still refused.
        """
        with self._db.begin() as session:
            held = select(Life.id, Life.lease_counter).where(col(Life.lease_holder) == self._holder)
            leases = session.exec(held).all()
            running = list(self._running.values())  # looked at after the leases: no new one is hit
            for life_id, counter in leases:
                if life_id not in running:
                    session.connection().execute(
                        update(Life)
                        .where(col(Life.id) == life_id, col(Life.lease_counter) == counter)
                        .values(lease_until=None, lease_holder=None)
                    )

    def release_lost_leases(self) -> None:
        """Give back what steps could not, as the database was away; nothing if it never was.

        Raises: Unavailable if it still is.
        """
        if not self._has_lost:
            return
        self._has_lost = False
        try:
            self.release_leases()
        except Unavailable:
            self._has_lost = True
            raise

    def _run(self, flow: Flow, claim: Claim) -> bool:
        started = time.monotonic()
        outcome = self._effect(flow, claim)
        try:
            outcome = self._record_safely(flow, claim, outcome)
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

    def _claim(self, life_id: str) -> tuple[Flow, Claim] | None:
        with self._db.begin() as session:
            now = database_now(session)
            life = session.exec(_claimable(life_id, now)).first()
            flow = life and self._registry.find(life.kind, life.flow_version)
            if life is None or flow is None:
                return None
            if life.ending_at and not life.is_winding_down:
                _enter(life, flow, flow.ending, now, timedelta())
                life.is_winding_down = True
                add_event(session, life.id, life.step, "ending_began")
            life.lease_counter += 1
            life.lease_until = now + LEASE
            life.lease_holder = self._holder
            session.add(life)
            return flow, _claim_of(life, now)

    def _effect(self, flow: Flow, claim: Claim) -> Outcome:
        step = flow.steps.get(claim.step)
        if step is None:
            return Failed("step_unknown", {"step": claim.step})
        try:
            return step.run(StepContext(claim, self._ports, self._db))
        except Unavailable as error:
            return Again(error.code, facts=error.facts)
        except (Refused, Problem) as error:
            return Failed(error.code, error.facts)
        except Exception:  # the boundary: whatever a step did not foresee must not kill the worker
            log.exception(CRASHED, life=claim.life_id, kind=claim.kind, step=claim.step)
            return Again(CRASHED)

    def _record_safely(self, flow: Flow, claim: Claim, outcome: Outcome) -> Outcome:
        """Record the outcome, or, where its writes can't be, that; return what was recorded."""
        try:
            self._record(flow, claim, outcome)
        except (StaleOutcomeError, Unavailable):
            raise
        except Problem as error:
            outcome = Failed(error.code, error.facts)
            self._record(flow, claim, outcome)
        except Exception:  # the same boundary: an outcome's writes are a part of the step
            log.exception(CRASHED, life=claim.life_id, kind=claim.kind, step=claim.step)
            outcome = Again(CRASHED)
            self._record(flow, claim, outcome)
        return outcome

    def _record(self, flow: Flow, claim: Claim, outcome: Outcome) -> None:
        with ringing(self._db, self._bell) as session:
            life = session.exec(
                select(Life).where(col(Life.id) == claim.life_id).with_for_update()
            ).one()
            if life.lease_counter != claim.counter or life.state != LifeState.LIVE:
                raise StaleOutcomeError
            life.lease_until, life.lease_holder = None, None
            _apply(session, flow, claim, life, outcome)
            if life.signals != claim.signals and life.state == LifeState.LIVE:
                life.due_at = database_now(session)  # a signal came while the step ran
            session.add(life)
            session.flush()
            outcome.writes(session)


def _claimable(life_id: str, now: datetime) -> Any:
    return (
        select(Life)
        .where(col(Life.id) == life_id, is_claimable(now))
        .with_for_update(skip_locked=True)  # SQLite ignores it; BEGIN IMMEDIATE serves there
    )


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


def _apply(session: Session, flow: Flow, claim: Claim, life: Life, outcome: Outcome) -> None:
    now = database_now(session)
    match outcome:
        case Go():
            _go(session, flow, life, outcome, now)
        case Again() if _crashed_too_often(life, outcome):
            _stop(session, flow, claim, life, Failed(CRASHED, {"step": claim.step}))
        case Again():
            _again(session, life, outcome, now)
        case Failed() if life.ending_at and not life.is_winding_down:
            life.due_at = now  # it was asked to end while the step ran: so it does
        case Failed():
            _stop(session, flow, claim, life, outcome)
        case Done():
            life.state, life.attempts, life.why = LifeState.DONE, 0, None
            add_event(session, life.id, life.step, "life_ended")
        case _:
            assert_never(outcome)


def _go(session: Session, flow: Flow, life: Life, outcome: Go, now: datetime) -> None:
    if outcome.step not in flow.steps:
        raise LookupError(f"{flow.kind}: step {life.step} goes to unknown {outcome.step}")
    if outcome.step != life.step:
        add_event(session, life.id, life.step, "step_finished", attempt=life.attempts)
    _enter(life, flow, outcome.step, now, outcome.after)


def _crashed_too_often(life: Life, outcome: Again) -> bool:
    return outcome.why == CRASHED == life.why and life.attempts + 1 >= MAX_CRASHES


def _again(session: Session, life: Life, outcome: Again, now: datetime) -> None:
    # Crashes are counted apart from waits: one after a long wait must not stop the life.
    is_first_crash = outcome.why == CRASHED != life.why
    life.attempts = 1 if is_first_crash else life.attempts + 1
    if life.why != outcome.why:
        facts = _plain(outcome.facts)
        add_event(session, life.id, life.step, outcome.why, facts, life.attempts)
    life.why = outcome.why
    life.due_at = now + (back_off(life.attempts) if outcome.after is None else outcome.after)


def _stop(session: Session, flow: Flow, claim: Claim, life: Life, outcome: Failed) -> None:
    life.state, life.why = LifeState.STOPPED, None
    life.failure_code, life.failure_facts = outcome.code, _plain(outcome.facts)
    add_event(
        session, life.id, life.step, "life_stopped", {"code": outcome.code, **life.failure_facts}
    )
    if flow.on_stopped is not None:
        flow.on_stopped(session, claim, outcome.code, life.failure_facts)


def back_off(attempt: int) -> timedelta:
    """Return the pause before the next try: doubling, at most a minute, give or take a quarter."""
    doubled: timedelta = FIRST_BACK_OFF * 2 ** min(attempt - 1, 12)
    return min(doubled, LONGEST_BACK_OFF) * random.uniform(0.75, 1.25)  # noqa: S311  # no secret


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v if isinstance(v, (str, int, float, bool, type(None))) else str(v)
        for k, v in facts.items()
    }
