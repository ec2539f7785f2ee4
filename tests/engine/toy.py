"""A flow small enough to reason about: one value in a world outside, made to follow one row."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, cast

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.engine.birth import Birth
from control_plane.engine.engine import Engine
from control_plane.engine.models import Life
from control_plane.engine.outcome import Again, Done, Go, Outcome
from control_plane.engine.registry import Ctx, Flow, Registry, Step
from control_plane.hostnames.models import EdgeState
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.kit.errors import Refused
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.port import Fence

BIRTH = Birth("toy", 1, "make")
SUBJECT = "toy_1"
REST = timedelta(hours=1)
_NOTHING = cast("Any", None)
NO_PORTS = Ports({}, _NOTHING, _NOTHING, _NOTHING, _NOTHING)


@dataclass
class World:
    """What is outside: a value a subject, behind the fence that real clouds have."""

    values: dict[str, int] = field(default_factory=dict)
    newest: int = 0
    trouble: Exception | None = None
    is_trouble_late: bool = False

    def change(self, value: int | None, fence: Fence) -> None:
        self._maybe_fail(late=False)
        if fence.counter < self.newest:
            raise Refused("fence_too_old", counter=fence.counter, newest=self.newest)
        self.newest = fence.counter
        if value is None:
            self.values.pop(SUBJECT, None)
        else:
            self.values[SUBJECT] = value
        self._maybe_fail(late=True)

    def _maybe_fail(self, *, late: bool) -> None:
        if self.trouble is not None and self.is_trouble_late == late:
            trouble, self.trouble = self.trouble, None
            raise trouble


# The wish and the fact are rows of a table that is there anyway: a table of the tests' own would
# be missed by the migrations.
def read(session: Session, name: str) -> int:
    return session.get_one(EdgeState, name).applied_generation


def write(name: str, value: int, session: Session) -> None:
    session.merge(EdgeState(name=name, applied_generation=value))


def toy_flow(world: World, version: int = 1) -> Flow:  # noqa: C901  # one branch a kind of step
    def wish(ctx: Ctx) -> int:
        return ctx.load(lambda session: read(session, "wish"))

    def make(ctx: Ctx) -> Outcome:
        world.change(wish(ctx), ctx.fence)
        return Go("check")

    def check(ctx: Ctx) -> Outcome:
        seen = world.values.get(SUBJECT)
        if seen != wish(ctx):
            return Again("waiting_for_the_world") if ctx.claim.attempts < 2 else Go("make")
        return Go("rest", writes=partial(write, "fact", seen))

    def rest(ctx: Ctx) -> Outcome:
        if world.values.get(SUBJECT) == wish(ctx) == ctx.load(lambda s: read(s, "fact")):
            return Go("rest", after=REST)
        return Go("make")

    def close(_ctx: Ctx) -> Outcome:
        return Go("destroy")

    def destroy(ctx: Ctx) -> Outcome:
        if not ctx.holds_lease():
            return Again("lease_lost")
        world.change(None, ctx.fence)
        return Done()

    steps = {f.__name__: Step(f) for f in (make, check, rest, close, destroy)}
    return Flow(birth=Birth("toy", version, "make"), ending="close", steps=steps)


class Bench:
    """A database with the toy's life in it, and engines to move it with."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.world = World()
        self.registry = Registry([toy_flow(self.world)])
        self.first, self.second = self.new_engine("first"), self.new_engine("second")
        self.newer = Engine(db, NO_PORTS, Registry([toy_flow(self.world, 2)]), "newer")
        self._times = ExitStack()
        with db.begin() as session:
            write("wish", 1, session)
            write("fact", 0, session)
            self.life_id = lives.start_life(session, BIRTH, SUBJECT)

    def new_engine(self, holder: str, *flows: Flow) -> Engine:
        return Engine(self.db, NO_PORTS, Registry(flows) if flows else self.registry, holder)

    def later(self, by: timedelta) -> None:
        self._times.enter_context(clock.shifted(by))

    def close(self) -> None:
        self._times.close()

    def life(self) -> Life:
        with self.db.read() as session:
            return session.get_one(Life, self.life_id)

    def value(self, name: str) -> int:
        with self.db.read() as session:
            return read(session, name)

    def wish(self, value: int) -> None:
        with self.db.begin() as session:
            write("wish", value, session)
            lives.signal_life(session, "toy", SUBJECT)

    def end(self) -> None:
        with self.db.begin() as session:
            lives.request_ending(session, "toy", SUBJECT)

    def retry(self) -> None:
        with self.db.begin() as session:
            lives.retry_life(session, self.life_id)

    def events(self) -> list[str]:
        with self.db.read() as session:
            return [event.event for event in lives.list_events(session, self.life_id)]
