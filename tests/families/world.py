"""Hostings of each family on real servers, configured by the real plays through the real runner."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Unavailable
from control_plane.kit.unix import Daemon
from control_plane.ports.automation.port import RunFact, RunState
from control_plane.ports.cloud.port import CheckResult, Limits, ServerSpec
from tests.automation.world import RunnerWorld
from tests.images import prepared_images
from tests.locald.world import Release
from tests.waiting import wait_until

APP = 991  # the uid of all that runs
MEDIUM = Limits(memory_mib=256, cpu_millis=1000, pids=96, disk_mib=512)


@dataclass
class Hosted:
    """One server of a family, and the ways to configure it, to release to it and to look."""

    world: RunnerWorld
    family: str
    folder: Path
    limits: Limits = MEDIUM
    inputs: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    spec: ServerSpec = field(init=False)

    def __post_init__(self) -> None:
        prepared_images(self.family)
        locald = self.world.locald
        self.spec = locald.a_running_server(limits=self.limits, family=self.family)

    def resize(self, limits: Limits) -> None:
        self.limits = limits
        self.spec = replace(self.spec, limits=limits)
        self.world.locald.cloud.ensure_server(self.spec, self.world.fence)

    def destroy(self) -> None:
        self.world.locald.cloud.destroy_server(self.spec.server_id, self.world.fence)

    # Configuring

    def play(self, *, is_check: bool = False) -> RunFact:
        return self.world.run(
            f"hosting_{self.family.replace('-', '_')}",
            self.spec.server_id,
            variables={"hosting_inputs": self.inputs, "hosting_size": asdict(self.limits)},
            secrets={"environment": self.environment, **self.secrets},
            is_check=is_check,
        )

    def configure(self, **inputs: Any) -> RunFact:
        self.inputs.update(inputs)
        fact = self.play()
        assert fact.state is RunState.SUCCEEDED, (fact.reason, fact.output)
        return fact

    # Releasing

    def deploy(self, contents: Mapping[str, bytes]) -> Release:
        """Put a release live as the steps of a hosting do; its check must pass."""
        release = Release(self.folder, contents)
        result = self.check(release)
        assert result.passed, result.output
        self.switch(release)
        return release

    def check(self, release: Release, path: str = "/") -> CheckResult:
        """Assemble and check a release; ask again while it is being prepared."""
        cloud, fence, server = self.world.locald.cloud, self.world.fence, self.spec.server_id
        release.assemble(cloud, server, fence)
        found: list[CheckResult] = []

        def is_checked() -> bool:
            try:
                found.append(cloud.check_release(server, release.deployment_id, path))
            except Unavailable as away:
                if away.code != "release_preparing":
                    raise
            return bool(found)

        wait_until(is_checked, timeout_s=120)
        return found[0]

    def switch(self, release: Release) -> None:
        cloud, server = self.world.locald.cloud, self.spec.server_id
        cloud.switch_release(server, release.deployment_id, self.world.fence)

    def prune(self, *keep: Release) -> None:
        kept = [release.deployment_id for release in keep]
        self.world.locald.cloud.prune_releases(self.spec.server_id, kept, self.world.fence)

    # Looking

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        status, _, body = self.world.locald.get(self.spec.address, path, headers)
        return HTTPStatus(status).value, body

    def run(self, *argv: str, uid: int = 0) -> str:
        """Run a command inside the server and return what it wrote; it must succeed."""
        done = self.try_to_run(argv, uid)
        assert done["code"] == 0, done
        return str(done["out"])

    def try_to_run(self, argv: Sequence[str], uid: int = 0) -> dict[str, Any]:
        fence = {"life_id": self.world.fence.life_id, "counter": self.world.fence.counter}
        wish = {"argv": list(argv), "uid": uid, "timeout_s": 60, "fence": fence}
        daemon = Daemon(self.world.locald.names.socket, silent="locald_not_answering")
        done: dict[str, Any] = daemon.ask("exec", 90, {**wish, "server_id": self.spec.server_id})
        return done

    def services(self) -> dict[str, dict[str, Any]]:
        states: dict[str, dict[str, Any]] = json.loads(
            self.run("/usr/lib/edubba/services", "state")
        )
        return states

    @property
    def memory_kib(self) -> int:
        """What all processes of the server have to themselves, plus their shares."""
        total = 0
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.spec.server_id in (path / "cgroup").read_text():
                    rollup = (path / "smaps_rollup").read_text()
                    total += int(rollup.partition("\nPss:")[2].split()[0])
            except OSError:
                continue  # it ended meanwhile
        return total
