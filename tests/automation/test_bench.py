"""What a run of a playbook costs: plain and warm, with the server's processor limit and without."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from control_plane.kit.ids import new_id
from control_plane.ports.automation import execution
from control_plane.ports.automation.settings import INVENTORY_FILE, new_environment
from control_plane.ports.cloud.port import Limits
from tests.automation.world import PLAYBOOKS, RunnerWorld

pytestmark = [pytest.mark.root, pytest.mark.bench]

ROUNDS = 5


def median(measure: Callable[[], None], rounds: int = ROUNDS) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        measure()
        seconds.append(time.monotonic() - began)
    return sorted(seconds)[rounds // 2]


def run_plain(world: RunnerWorld, server: str, playbook: str) -> None:
    """Run a playbook as ansible-runner does by itself, with the same settings."""
    run_id = new_id("run")
    access = world.open_run(run_id, server)
    facts = {**access.variables, **access.secrets, "workers": 2}
    said = " ".join(f"{name}={value}" for name, value in facts.items())
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / INVENTORY_FILE).write_text(f"{server} {said}\n")
        told = new_environment(PLAYBOOKS, folder, execution.callbacks_folder())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for key, value in {**told, "ANSIBLE_INVENTORY_ENABLED": "ini"}.items():
            patch.setenv(key, value)
        patch.setenv("PYTHONPATH", str(PLAYBOOKS.parents[2]))
        program = (str(Path(sys.executable).with_name("ansible-playbook")),)
        order = execution.Order(run_id, folder, PLAYBOOKS / f"{playbook}.yml", (), program)
        code = execution.run(order, execution.Watch(lambda _: None, lambda: True))
    assert code == 0


def memory_kib(world: RunnerWorld) -> dict[str, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().decode().split("\0")
            lines = (path / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        if "control_plane.runner" in command or str(world.folder) in command:
            pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            found[f"{command[-2].rpartition('.')[2]} {path.name}"] = pss
    return found


def test_bench_runs(world: RunnerWorld) -> None:
    print(f"\nload {os.getloadavg()[0]:.1f}")  # noqa: T201
    for millis in (500, 2000):
        limits = Limits(memory_mib=256, cpu_millis=millis, pids=64, disk_mib=64)
        server = world.locald.a_running_server(limits=limits).server_id

        def warm(playbook: str, server: str = server) -> None:
            fact = world.run(playbook, server, variables={"workers": 2})
            assert fact.state == "succeeded", fact

        def plain(playbook: str, server: str = server) -> None:
            run_plain(world, server, playbook)

        warm("hosting_nothing")
        began = time.monotonic()
        warm("hosting_seven")
        print(f"{millis} m: first run of seven tasks, warm {time.monotonic() - began:.2f} s")  # noqa: T201
        for playbook in ("hosting_nothing", "hosting_seven"):
            for name, how in (("warm", warm), ("plain", plain)):
                print(f"{millis} m: {playbook} {name} {median(lambda: how(playbook)):.2f} s")  # noqa: B023, T201
    print(memory_kib(world))  # noqa: T201
