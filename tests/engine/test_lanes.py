"""A lane that is full holds back its own lives alone, and all of them have their turn."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control_plane.engine import lives
from control_plane.engine.bell import SilentBell
from control_plane.engine.engine import Engine
from control_plane.engine.lanes import Lanes
from control_plane.engine.outcome import Done, Outcome
from control_plane.engine.registry import Ctx, Flow, Registry, Step
from tests.engine.toy import BIRTH, NO_PORTS, Bench, toy_flow


class Remembering(SilentBell):
    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, life_ids: Any) -> None:
        self.rung.extend(life_ids)


def _engine(bench: Bench, lanes: Lanes) -> tuple[Engine, Remembering]:
    flow = replace(toy_flow(bench.world), lane=lambda _session, _subject: "reg_1")
    bell = Remembering()
    return Engine(bench.db, NO_PORTS, Registry([flow]), "lanes", bell, lanes), bell


def test_a_life_whose_lane_is_full_is_rung_for_when_there_is_a_place(bench: Bench) -> None:
    lanes = Lanes(1)
    engine, bell = _engine(bench, lanes)
    assert lanes.enter("reg_1", "another")
    assert engine.advance(bench.life_id) == 0
    assert bench.life().attempts == 0
    assert engine.find_due() == []  # it waits for the lane, which rings for it
    assert lanes.leave("reg_1") == bench.life_id
    assert engine.advance(bench.life_id) == 3
    assert bell.rung == []


def test_a_lane_of_another_region_is_not_in_the_way(bench: Bench) -> None:
    lanes = Lanes(1)
    engine, _bell = _engine(bench, lanes)
    assert lanes.enter("reg_2", "another")
    assert engine.advance(bench.life_id) == 3


def test_who_leaves_a_full_lane_rings_for_who_waited_longest(bench: Bench) -> None:
    with bench.db.begin() as session:
        others = [lives.start_life(session, BIRTH, f"toy_{n}") for n in (2, 3)]
    tried: list[int] = []

    def make(_ctx: Ctx) -> Outcome:
        if not tried:
            tried.extend(engine.advance(one) for one in others)
        return Done()

    bell = Remembering()
    flow = Flow(BIRTH, "make", {"make": Step(make)}, lane=lambda _session, _subject: "reg_1")
    engine = Engine(bench.db, NO_PORTS, Registry([flow]), "lanes", bell, Lanes(1))
    engine.advance(bench.life_id)
    assert tried == [0, 0]
    assert bell.rung == others[:1]
    engine.advance(others[0])
    assert bell.rung == others


def test_whoever_waits_for_a_lane_with_places_is_found_by_the_sweep_again(bench: Bench) -> None:
    lanes = Lanes(1)
    engine, _bell = _engine(bench, lanes)
    assert lanes.enter("reg_1", "one")
    assert not lanes.enter("reg_1", bench.life_id)
    assert not lanes.enter("reg_1", "third")
    assert lanes.leave("reg_1") == bench.life_id  # whose ring another worker takes
    assert list(engine.find_due()) == [bench.life_id]
    assert lanes.list_waiting() == frozenset()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 5)), max_size=60))
def test_no_lane_ever_holds_more_than_its_places(moves: list[tuple[str, bool, int]]) -> None:
    lanes = Lanes(2)
    inside = {"a": 0, "b": 0}
    for lane, is_coming, life in moves:
        if is_coming:
            could = inside[lane] < 2
            assert lanes.enter(lane, f"lif_{life}") == could
            inside[lane] += could
        elif inside[lane]:
            lanes.leave(lane)
            inside[lane] -= 1
