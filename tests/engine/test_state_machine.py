"""Whatever happens in whatever order, the world comes to follow the rows."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from control_plane.engine import lives
from control_plane.engine.engine import Engine, StaleOutcomeError
from control_plane.engine.models import LifeState
from control_plane.engine.registry import Claim, Flow
from control_plane.engine.sweep import alert_overdue_lives, find_due_lives
from control_plane.kit import clock
from control_plane.kit.db import METADATA, Database
from control_plane.kit.errors import Refused, Unavailable
from tests.engine.toy import SUBJECT, Bench

TROUBLES = (Unavailable("cloud_away"), Refused("cloud_says_no"), RuntimeError("nobody foresaw"))


class Disorder(RuleBasedStateMachine):
    """Two workers and an unfit one, people, time and accidents, in any order."""

    db: Database

    def __init__(self) -> None:
        super().__init__()
        with self.db.begin() as session:
            for table in reversed(METADATA.sorted_tables):
                if table.name in {"timeline_event", "life", "engine_pause", "edge_state"}:
                    session.connection().execute(table.delete())
        self.bench = Bench(self.db)
        self.held: dict[Engine, tuple[Flow, Claim]] = {}
        self.is_ending = False
        self.counter = 0

    workers = st.sampled_from(["first", "second"])

    @rule(worker=workers)
    def work(self, worker: str) -> None:
        engine: Engine = getattr(self.bench, worker)
        engine.run_step(self.bench.life_id)

    @rule()
    def five_messages(self) -> None:
        for _ in range(5):
            self.bench.first.advance(self.bench.life_id)

    @rule(worker=workers)
    def stall(self, worker: str) -> None:
        engine: Engine = getattr(self.bench, worker)
        claimed = engine._claim(self.bench.life_id)
        if claimed is not None:
            self.held[engine] = claimed

    @precondition(lambda self: self.held)
    @rule(data=st.data(), killed=st.booleans())
    def stalled_wakes(self, data: st.DataObject, killed: bool) -> None:  # noqa: FBT001
        engine = data.draw(st.sampled_from(list(self.held)), "engine")
        flow, claim = self.held.pop(engine)
        outcome = engine._effect(flow, claim)
        if killed:
            return
        is_stale = self.bench.life().lease_counter != claim.counter
        try:
            engine._record_safely(flow, claim, outcome)
        except StaleOutcomeError:
            assert is_stale
            return
        assert not is_stale
        life = self.bench.life()
        if life.signals != claim.signals and life.state == LifeState.LIVE:
            assert life.due_at <= clock.now() + timedelta(seconds=1)

    @rule()
    def restart(self) -> None:
        self.bench.first.release_leases()

    @rule()
    def overtake(self) -> None:
        self.stall("first")
        self.time_passes(100)
        self.work("second")

    @rule()
    def unfit_worker(self) -> None:
        assert not self.bench.newer.run_step(self.bench.life_id)

    @rule(trouble=st.sampled_from(TROUBLES), late=st.booleans())
    def trouble(self, trouble: Exception, late: bool) -> None:  # noqa: FBT001
        self.bench.world.trouble, self.bench.world.is_trouble_late = trouble, late

    @rule(value=st.integers(1, 9))
    def wish(self, value: int) -> None:
        self.bench.wish(value)

    @rule(seconds=st.sampled_from([1, 100, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.bench.later(timedelta(seconds=seconds))

    @rule()
    def alert(self) -> None:
        alert_overdue_lives(self.db)

    @rule()
    def drift(self) -> None:
        self.bench.world.values.pop(SUBJECT, None)

    @rule()
    def retry(self) -> None:
        self.bench.retry()

    @rule()
    def pause(self) -> None:
        with self.db.begin() as session:
            lives.pause_engine(session, "toy", "psn_1", "a test")
        assert not self.bench.first.run_step(self.bench.life_id)

    @rule()
    def resume(self) -> None:
        with self.db.begin() as session:
            lives.resume_engine(session, "toy")

    @rule()
    def end(self) -> None:
        self.is_ending = True
        self.bench.end()

    @invariant()
    def the_counter_only_grows(self) -> None:
        counter = self.bench.life().lease_counter
        assert counter >= self.counter
        self.counter = counter

    @invariant()
    def only_winding_down_can_stop_once_asked_to_end(self) -> None:
        life = self.bench.life()
        assert life.is_winding_down or not (self.is_ending and life.state == LifeState.STOPPED)

    def teardown(self) -> None:
        try:
            self.resume()
            self.converge()
        finally:
            self.bench.close()

    def converge(self) -> None:
        for _ in range(60):
            if self.is_settled():
                return
            self.bench.later(timedelta(minutes=65))
            self.bench.retry()
            for life_id in find_due_lives(self.db, self.bench.registry):
                self.bench.second.advance(life_id)
        pytest.fail(f"after 60 rounds still {self.bench.life()!r}, {self.bench.world!r}")

    def is_settled(self) -> bool:
        life, wish = self.bench.life(), self.bench.value("wish")
        if self.is_ending:
            return life.state == LifeState.DONE and not self.bench.world.values
        return (
            (life.state, life.step) == (LifeState.LIVE, "rest")
            and self.bench.world.values == {SUBJECT: wish}
            and self.bench.value("fact") == wish
        )


@pytest.mark.slow
@pytest.mark.usefixtures("db")
def test_any_disorder_ends_where_order_would(db: Database) -> None:
    machine = type("Machine", (Disorder,), {"db": db})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40 if db.is_postgresql else 100,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
