"""A hint from outside lets a life look at once, and can do nothing else."""

from control_plane.engine import lives
from control_plane.engine.models import Life, LifeState
from control_plane.engine.outcome import Done, Outcome
from control_plane.engine.registry import Ctx, Flow, Step
from control_plane.engine.sweep import find_due_lives
from control_plane.kit.db import Database
from tests.engine.toy import BIRTH, SUBJECT, Bench


def _hint(db: Database, kind: str = "toy", subject: str = SUBJECT) -> frozenset[str]:
    with db.begin() as session:
        lives.hasten_life(session, kind, subject)
        return lives.rung_lives(session)


def test_a_life_at_rest_looks_at_once(bench: Bench) -> None:
    bench.first.advance(bench.life_id)
    assert find_due_lives(bench.db, bench.registry) == []
    before = bench.life()
    assert _hint(bench.db) == {bench.life_id}
    assert find_due_lives(bench.db, bench.registry) == [bench.life_id]
    assert bench.life().signals == before.signals


def test_a_hint_about_nobody_rings_for_nobody(bench: Bench) -> None:
    bench.first.advance(bench.life_id)
    assert _hint(bench.db, subject="toy_2") == frozenset()
    assert _hint(bench.db, kind="other") == frozenset()


def test_a_life_that_is_due_is_not_rung_for_again(bench: Bench) -> None:
    assert _hint(bench.db) == frozenset()


def test_a_life_that_stopped_stays_so(bench: Bench) -> None:
    bench.first.advance(bench.life_id)
    with bench.db.begin() as session:
        life = session.get_one(Life, bench.life_id)
        life.state = LifeState.STOPPED
        session.add(life)
    assert _hint(bench.db) == frozenset()
    assert bench.life().state == LifeState.STOPPED


def test_a_step_that_runs_is_left_alone(bench: Bench) -> None:
    rung: list[frozenset[str]] = []

    def make(_ctx: Ctx) -> Outcome:
        rung.append(_hint(bench.db))
        return Done()

    engine = bench.new_engine("hints", Flow(BIRTH, "make", {"make": Step(make)}))
    engine.advance(bench.life_id)
    assert rung == [frozenset()]
    assert bench.life().state == LifeState.DONE
