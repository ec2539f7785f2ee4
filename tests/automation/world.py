"""A real runner under a user of its own, beside a real daemon with servers to command."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.kit.unix import Daemon
from control_plane.ports.automation.ansible import AnsibleAutomation
from control_plane.ports.automation.port import Automation, RunFact, RunSpec
from control_plane.ports.cloud.port import Access, Fence
from tests.locald.world import RUNNER_ID, LocaldWorld, running_locald
from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
PLAYBOOKS = Path(__file__).parent / "playbooks"


@dataclass
class RunnerWorld:
    """One runner, alone in its names."""

    locald: LocaldWorld
    playbooks: Path = PLAYBOOKS
    at_once: int = 2
    fence: Fence = field(default_factory=lambda: Fence(new_id("lif"), 1))
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def folder(self) -> Path:
        return self.locald.names.run_dir / "runner"

    @property
    def automation(self) -> AnsibleAutomation:
        return AnsibleAutomation(self.folder / "runner.sock")

    @property
    def log(self) -> Path:
        return Path(tempfile.gettempdir()) / f"{self.locald.instance}-runner.log"

    def start(self) -> None:
        self.begin()
        wait_until(self._is_listening)

    def begin(self) -> None:
        self.folder.mkdir(mode=0o750, exist_ok=True)
        os.chown(self.folder, RUNNER_ID, 0)
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "EDUBBA_INSTANCE": self.locald.instance,
            "EDUBBA_RUNNER_CLIENTS": str(os.getuid()),
            "EDUBBA_PLAYBOOKS_DIR": str(self.playbooks),
            "EDUBBA_RUNS_AT_ONCE": str(self.at_once),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "control_plane.runner"],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=RUNNER_ID,
                group=RUNNER_ID,
                extra_groups=[],
            )

    def _is_listening(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        try:
            self.automation.observe(new_id("run"))
        except Unavailable:
            return False
        return True

    def kill(self) -> None:
        """End the runner as a crash does."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the runner as supervisord does."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def open_run(self, run_id: str, server_id: str) -> Access:
        hour = timedelta(hours=1)
        return self.locald.cloud.open_run(server_id, run_id, hour, self.fence)

    def a_spec(self, playbook: str, server_id: str, **fields: Any) -> RunSpec:
        run_id = new_id("run")
        return RunSpec(run_id, playbook, [self.open_run(run_id, server_id)], **fields)

    def run(self, playbook: str, server_id: str, **fields: Any) -> RunFact:
        return self.carry_out(self.a_spec(playbook, server_id, **fields))

    def carry_out(self, spec: RunSpec) -> RunFact:
        self.automation.start(spec, self.fence)
        return until_over(self.automation, spec.run_id)


def in_server(world: RunnerWorld, server_id: str, program: str) -> None:
    """Put a shell program where the hostile playbooks let the server run it."""
    command = f"cat > /srv/site/evil <<'END_OF_EVIL'\n{program}\nexit\nEND_OF_EVIL"
    wish = {"argv": ["/bin/sh", "-c", command], "uid": 990, "timeout_s": 20}
    fence = {"life_id": world.fence.life_id, "counter": world.fence.counter}
    daemon = Daemon(world.locald.names.socket, silent="locald_not_answering")
    done = daemon.ask("exec", 30, {**wish, "server_id": server_id, "fence": fence})
    assert done["code"] == 0, done


def until_over(automation: Automation, run_id: str) -> RunFact:
    wait_until(lambda: automation.observe(run_id).state.is_over, 60)
    return automation.observe(run_id)


@contextmanager
def running_runner(playbooks: Path = PLAYBOOKS) -> Iterator[RunnerWorld]:
    """Give a running runner and daemon; afterwards, nothing of them is left."""
    with running_locald() as locald:
        world = RunnerWorld(locald, playbooks)
        try:
            world.start()
            yield world
        finally:
            if world.process and world.process.poll() is None:
                world.stop()
            shutil.rmtree(world.folder, ignore_errors=True)
            world.log.unlink(missing_ok=True)
