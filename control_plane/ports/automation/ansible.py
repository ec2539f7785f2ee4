"""The automation of an installation: asks the runner over its Unix socket.

The worker has this; what runs playbooks is another process, of another user.
"""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from control_plane.kit.unix import Daemon
from control_plane.ports.automation.port import RunFact, RunSpec, check
from control_plane.ports.automation.wire import fact_from_json, spec_to_json
from control_plane.ports.cloud.port import Fence

_TIMEOUT_S = 60.0  # longer than a run takes to be killed


class AnsibleAutomation:
    """Playbooks, run by the runner of this machine; see `port.Automation`."""

    def __init__(self, socket_path: Path) -> None:
        self._runner = Daemon(socket_path, silent="runner_not_answering")

    def start(self, spec: RunSpec, fence: Fence) -> None:
        """Begin a run, or adopt it."""
        check(spec)
        wish = {"spec": spec_to_json(spec), "fence": asdict(fence)}
        self._runner.ask("start", _TIMEOUT_S, wish)

    def observe(self, run_id: str, after_event: int = 0, wait: timedelta = timedelta()) -> RunFact:
        """Say what is known, once it is over or the time is."""
        about = {"run_id": run_id, "after_event": after_event}
        wish = {**about, "wait_ms": int(wait.total_seconds() * 1000)}
        return fact_from_json(self._runner.ask("observe", _TIMEOUT_S, wish))

    def cancel(self, run_id: str, fence: Fence) -> RunFact:
        """End a run; when this returns, each of its processes is dead."""
        wish = {"run_id": run_id, "fence": asdict(fence)}
        return fact_from_json(self._runner.ask("cancel", _TIMEOUT_S, wish))

    def forget(self, run_id: str, fence: Fence) -> None:
        """Remove what is kept of a run that is over."""
        self._runner.ask("forget", _TIMEOUT_S, {"run_id": run_id, "fence": asdict(fence)})
