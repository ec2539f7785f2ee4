"""A worker that is going to be killed: it makes and ends a tenant's things, as a life's steps do.

Run as `python -m tests.openstack.builder`, with what to do on its standard input. A step that is
over is written down; the next process goes on after it, and does again what was not.
"""

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.port import Fence, ServerState, TenantSpec, WireSpec
from control_plane.settings import Settings
from tests.openstack.fast import FastCloud, a_region, a_spec

WIRED_PORT = 5432
PAUSE_S = 0.3
Step = Callable[[Fence], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What to do, in words that fit into a pipe: names of steps, in rows done side by side."""

    installation: str
    tenant_id: str
    servers: list[str]
    serial: int
    wire_id: str
    rows: list[list[str]]
    journal: str


class NotYet(Exception):
    """A step did what it can, and is to be tried again."""


class Builder:
    """The steps of one task, by name."""

    def __init__(self, cloud: FastCloud, task: Task) -> None:
        self._cloud, self._task = cloud, task

    def step(self, name: str) -> Step:
        """Return a step; `build:0` is about the first server."""
        verb, _, about = name.partition(":")
        work = getattr(self, verb)
        return partial(work, int(about)) if about else work

    def open(self, fence: Fence) -> None:
        self._cloud.ensure_tenant(TenantSpec(self._task.tenant_id, "agy_1"), fence)

    def build(self, which: int, fence: Fence) -> None:
        task = self._task
        spec = a_spec(task.servers[which], task.tenant_id, task.serial + which)
        fact = self._cloud.ensure_server(spec, fence)
        if fact.state is not ServerState.RUNNING:
            raise NotYet(str(fact.reasons))

    def wire(self, fence: Fence) -> None:
        fact = self._cloud.ensure_wire(self._spec(), fence)
        if not (fact.is_whole and self._cloud.observe_wire(self._spec()).is_whole):
            raise NotYet("the wire is not whole")

    def unwire(self, fence: Fence) -> None:
        self._cloud.remove_wire(self._task.wire_id, fence)

    def stop(self, which: int, fence: Fence) -> None:
        self._cloud.stop_server(self._task.servers[which], fence)

    def destroy(self, which: int, fence: Fence) -> None:
        self._cloud.destroy_server(self._task.servers[which], fence)
        if self._cloud.observe_server(self._task.servers[which]).state is not ServerState.ABSENT:
            raise NotYet("the server is there")

    def close(self, fence: Fence) -> None:
        self._cloud.destroy_tenant(self._task.tenant_id, fence)

    def _spec(self) -> WireSpec:
        task = self._task
        asking, answering = task.servers
        return WireSpec(task.wire_id, task.tenant_id, asking, answering, WIRED_PORT)


def perform(builder: Builder, task: Task) -> None:
    """Do the steps that are not done yet, each until it is over."""
    journal = Path(task.journal)
    done = journal.read_text().split() if journal.exists() else []
    lock = threading.Lock()

    def until_over(name: str, number: str) -> None:
        tries, said = 0, ""
        while True:
            tries += 1
            try:
                builder.step(name)(Fence(f"lif_{number}", 1))
            except (Unavailable, NotYet) as away:
                if str(away) != said:
                    said = str(away)
                    print(f"  {name}: {said}", file=sys.stderr, flush=True)  # noqa: T201
                threading.Event().wait(min(PAUSE_S * tries, 2.0))
                continue
            with lock, journal.open("a") as file:
                file.write(f"{number}\n")
                file.flush()
                os.fsync(file.fileno())
            return

    for row, names in enumerate(task.rows):
        left = [(name, f"{row}.{name}") for name in names if f"{row}.{name}" not in done]
        with ThreadPoolExecutor(4) as pool:
            works = [pool.submit(until_over, *one) for one in left]
        for work in works:
            work.result()


def main(said: dict[str, Any]) -> int:
    """Return 0 if all is done, 3 if the cloud refused something, 1 if nobody foresaw it."""
    task, settings = Task(**said), Settings()
    api = Api(settings.clouds_file, settings.cloud_entry)
    folder = Path(task.journal).parent / "worker"
    cloud = FastCloud(api, a_region(task.installation, settings), folder)
    try:
        perform(Builder(cloud, task), task)
    except Refused as refused:
        traceback.print_exc()
        print(f"refused: {refused}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
