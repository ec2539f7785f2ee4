"""A worker is killed, and one call in ten goes wrong: what it makes is there once, and then gone.

Each run is another seed. The cloud itself is asked for what is there: no orphans, no doubles.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from openstack.connection import Connection

from control_plane.kit.ids import new_id
from tests.openstack.builder import Task
from tests.openstack.fast import a_fast_cloud
from tests.openstack.inventory import Inventory, doubles, projects_made
from tests.openstack.proxy import Proxy, running_proxy

CHECKOUT = Path(__file__).parents[2]
RUNS, FIRST = int(os.environ.get("EDUBBA_RUNS", "20")), int(os.environ.get("EDUBBA_SEED", "0"))
SHARE = 0.1
LATE = 0.4  # in each fourth run: rare among others, and what makes things twice
KILLS_MAX = 3
LONGEST_S = 240
MAKING = [["open"], ["build:0", "build:1"], ["wire"]]
LATEST_S = 5.0  # > what the proxy holds back a call for
ENDING = [["unwire"], ["stop:0"], ["destroy:0", "destroy:1"]]
MADE = 0.7
OF_SERVERS = {"server", "floatingip"}
WHOLE = {
    "project": 1,
    "network": 1,
    "subnet": 1,
    "router": 1,
    "security_group": 2,  # the tenant's and the wire's
    "floatingip": 2,
    "server": 2,
    "role": 1,
}


@pytest.fixture(scope="module")
def admin() -> Iterator[Connection]:
    with a_fast_cloud() as connection:
        yield connection


@dataclass
class Run:
    """One seed: what is made and ended, and the worker that is killed at it."""

    seed: int
    folder: Path
    proxy: Proxy
    deadline: float = field(default_factory=lambda: time.monotonic() + LONGEST_S)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311
        self.installation = f"f{self.seed}x{os.urandom(2).hex()}"
        self.names = new_id("ten"), [new_id("hst"), new_id("hst")], new_id("att")

    def work(self, name: str, rows: list[list[str]], *, to_its_end: bool = True) -> None:
        """Let a worker do it that is killed up to three times, wherever it is."""
        for _ in range(self.random.randint(1, KILLS_MAX)):
            if self._start(name, rows, kill_after_s=self.random.uniform(2.0, 10.0)):
                return
        if not to_its_end:
            return
        self.log.append("not killed any more")
        assert self._start(name, rows, self.deadline - time.monotonic()), self.told("not over")

    def look_again(self) -> None:
        """Let a worker look at it once more, as lives do, when all that was asked for has come."""
        share, late, self.proxy.share, self.proxy.late = self.proxy.share, self.proxy.late, 0.0, 0.0
        threading.Event().wait(LATEST_S)
        assert self._start("watching", MAKING, self.deadline - time.monotonic())
        self.proxy.share, self.proxy.late = share, late

    def _start(self, name: str, rows: list[list[str]], kill_after_s: float) -> bool:
        """Return whether it came to its end before it was killed."""
        tenant_id, servers, wire_id = self.names
        journal = self.folder / name
        task = Task(
            self.installation, tenant_id, servers, 1 + self.seed % 9, wire_id, rows, str(journal)
        )
        with (
            (self.folder / "log").open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.openstack.builder"],
                cwd=CHECKOUT,
                env=os.environ | self.proxy.environment,
                stdin=subprocess.PIPE,
                stderr=log,
            ) as worker,
        ):
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(asdict(task)).encode())
            worker.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                worker.wait(max(kill_after_s, 1))
            worker.send_signal(signal.SIGKILL)
        done = journal.read_text().split() if journal.exists() else []
        self.log.append(f"{name}: {kill_after_s:.1f} s, {len(done)} steps, {worker.returncode}")
        assert worker.returncode in {0, -signal.SIGKILL}, self.told("the worker failed")
        return worker.returncode == 0

    def told(self, what: str) -> str:
        said = (self.folder / "log").read_text()[-6000:]
        return f"seed {self.seed}: {what}\n{self.proxy.told()}\n{self.log}\n{said}"


@pytest.mark.cloud
@pytest.mark.timeout(LONGEST_S + 60)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_what_a_killed_worker_makes_is_there_once_and_what_it_ends_is_gone(
    seed: int, admin: Connection, tmp_path: Path
) -> None:
    inventory = Inventory(admin)
    with running_proxy(seed, SHARE, LATE if seed % 4 == 3 else 0.0) as proxy:
        run = Run(seed, tmp_path, proxy)
        try:
            is_made = run.random.random() < MADE  # the others end half-made
            run.work("making", MAKING, to_its_end=is_made)
            if is_made:
                run.look_again()
                found = inventory.of(run.installation, projects_made(proxy.calls))
                assert not doubles(found), run.told(f"{doubles(found)}")
                counted = Counter(one.kind for one in found)
                assert {kind: counted[kind] for kind in WHOLE} == WHOLE, run.told(str(found))
            run.work("ending", ENDING)
            left = inventory.of(run.installation, projects_made(proxy.calls))
            rest = [one for one in left if one.kind in OF_SERVERS or one.name in run.names[1]]
            assert not rest, run.told(f"left of servers: {rest}")
            run.work("closing", [["close"]])
            left = inventory.of(run.installation, projects_made(proxy.calls))
            assert not left, run.told(f"left: {left}")
            assert not inventory.keypairs()
        finally:
            proxy.share = proxy.late = 0.0
            inventory.remove(run.installation, projects_made(proxy.calls))
    print(f"\n  seed {seed}: {proxy.told()}; {run.log}")  # noqa: T201
