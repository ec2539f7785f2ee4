"""Where a worker can be killed: before and after each call on a port and each commit it makes.

Nobody lists these points. A watch over an undisturbed step writes them down as they come, and a
watch that is told the number of one kills its own process exactly there.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlmodel import Session

from control_plane.kit.db import Database
from control_plane.ports.bundle import Ports
from tests.faults.world import is_stream

CLAIM, OUTCOME = "the claim's commit", "the outcome's commit"


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in a step: before or after what (`cloud.ensure_server`)."""

    what: str
    is_after: bool
    state: object = None  # of the world at this moment

    def __str__(self) -> str:
        return f"{'after' if self.is_after else 'before'} {self.what}"


def nothing_to_see() -> object:
    return None


class Watch:
    """Counts the points of a run; `state` tells what the world looks like at each of them."""

    def __init__(self, state: Callable[[], object] = nothing_to_see, doom: int = -1) -> None:
        self.state, self._doom = state, doom
        self.points: list[Point] = []

    def reach(self, what: str, *, is_after: bool) -> None:
        """Come to a point: the end, if it is the one that was told."""
        if len(self.points) == self._doom:
            os.kill(os.getpid(), signal.SIGKILL)
        self.points.append(Point(what, is_after, self.state()))

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        self.reach(what, is_after=False)
        try:
            yield
        finally:
            self.reach(what, is_after=True)


def list_distinct(points: list[Point]) -> list[int]:
    """Return the numbers of those points at which a kill leaves something of its own behind.

    All commits are among them. Between two calls there is one such moment, after the one and
    before the other; where a call changed nothing, it is the one before that call.
    """
    return [
        number
        for number, point in enumerate(points)
        if point.what in {CLAIM, OUTCOME} or point.state != points[number - 1].state
    ]


class WatchedDatabase(Database):
    """A database whose commits are points: of a step, the claim's first and then the outcome's."""

    def __init__(self, url: str, watch: Watch) -> None:
        super().__init__(url)
        self.watch = watch

    @contextmanager
    def begin(self) -> Iterator[Session]:
        with super().begin() as session:
            yield session
            what = OUTCOME if self.watch.points else CLAIM
            self.watch.reach(what, is_after=False)
        self.watch.reach(what, is_after=True)


class WatchedPort:
    """A port each call of which is watched, also between the items that a call draws."""

    def __init__(self, name: str, target: object, watch: Watch) -> None:
        self._name, self._target, self._watch = name, target, watch

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._target, verb)
        what = f"{self._name}.{verb}"

        def call(*arguments: Any, **named: Any) -> Any:
            passed = [self._drawn(what, one) if is_stream(one) else one for one in arguments]
            with self._watch.around(what):
                return method(*passed, **named)

        return call

    def _drawn(self, what: str, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self._watch.reach(f"{what}, an item", is_after=False)
            yield item


def watched(ports: Ports, watch: Watch) -> Ports:
    """Return the same ports, watched."""

    def seen(name: str, target: object) -> Any:
        return WatchedPort(name, target, watch)

    clouds = {region: seen("cloud", cloud) for region, cloud in ports.clouds.items()}
    others = {
        one.name: seen(one.name, getattr(ports, one.name))
        for one in fields(ports)
        if one.name != "clouds"
    }
    return replace(ports, clouds=clouds, **others)
