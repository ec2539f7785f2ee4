"""A worker that is put to sleep in the middle of a step, as a machine without memory would be.

`python -m tests.faults.sleeper URL LIFE REGION POINT WORLD` runs one step of a life and stops its
own process (SIGSTOP) at the point, `before cloud.ensure_server` for instance. WORLD is the socket
of a world in memory, or `locald:` and that of a root daemon. At its end it tells as JSON whether
the outcome was recorded, and what was refused.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any, cast

from control_plane.engine.engine import Engine
from control_plane.engine.registry import Registry
from control_plane.kit.db import Database
from control_plane.kit.errors import Refused
from control_plane.kit.log import configure
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.local import LocalCloud
from control_plane.worker import FLOWS
from tests.faults.points import Watch, watched
from tests.faults.world import far_ports

LOCALD = "locald:"


class SleepingWatch(Watch):
    """Stops the process at one point, the first time that it is reached."""

    def __init__(self, point: str) -> None:
        super().__init__()
        self._point = point

    def reach(self, what: str, *, is_after: bool) -> None:
        super().reach(what, is_after=is_after)
        if str(self.points[-1]) == self._point:
            self._point = ""
            os.kill(os.getpid(), signal.SIGSTOP)


class NotedPort:
    """A port that notes what it was refused."""

    def __init__(self, target: object, refusals: list[str]) -> None:
        self._target, self._refusals = target, refusals

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        method = getattr(self._target, verb)

        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return method(*arguments, **named)
            except Refused as refused:
                self._refusals.append(refused.code)
                raise

        return call


def _ports(region_id: str, world: str) -> Ports:
    if not world.startswith(LOCALD):
        return far_ports(region_id, Client(world))
    cloud = LocalCloud(Path(world.removeprefix(LOCALD)))
    nothing = cast("Any", None)  # the step to sleep in needs no more
    return Ports({region_id: cloud}, nothing, nothing, nothing, nothing)


def main(url: str, life_id: str, region_id: str, point: str, world: str) -> None:
    configure(json_lines=False, level="ERROR")
    ports = _ports(region_id, world)
    refusals: list[str] = []
    cloud = cast("Any", NotedPort(ports.cloud(region_id), refusals))
    ports = replace(ports, clouds={region_id: cloud})
    engine = Engine(Database(url), watched(ports, SleepingWatch(point)), Registry(FLOWS), "sleeper")
    recorded = engine.run_step(life_id)
    sys.stdout.write(json.dumps({"recorded": recorded, "refused": refusals}))


if __name__ == "__main__":
    main(*sys.argv[1:])
