"""The sweep finds all work again, and after a start looks at what was at rest."""

from control_plane.engine.models import LifeState
from control_plane.engine.sweep import find_due_lives, wake_resting_lives
from tests.engine.toy import Bench


def test_after_a_machines_start_a_life_at_rest_sees_what_was_lost_meanwhile(bench: Bench) -> None:
    bench.first.advance(bench.life_id)
    assert bench.life().step == "rest"
    bench.world.values.clear()
    assert find_due_lives(bench.db, bench.registry) == []
    assert wake_resting_lives(bench.db) == 1
    [due] = find_due_lives(bench.db, bench.registry)
    bench.first.advance(due)
    assert bench.world.values == {"toy_1": 1}


def test_what_is_over_or_stopped_is_not_woken(bench: Bench) -> None:
    bench.end()
    bench.first.advance(bench.life_id)
    assert bench.life().state == LifeState.DONE
    assert wake_resting_lives(bench.db) == 0
