"""One run of ansible-runner: knows that library, and how it is led to the warm process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner
from ansible_runner.utils import get_callback_dir

from control_plane.ports.automation.settings import INVENTORY_FILE

_LOOK_EVERY_S = 1  # how soon ansible-runner sees that a run is not wanted any more
LAUNCHER = Path(__file__).parent / "launcher.py"
LAUNCH = ("/usr/bin/python3", "-IS", str(LAUNCHER))


@dataclass(frozen=True, slots=True)
class Order:
    """What ansible-runner is told of a run."""

    run_id: str
    folder: Path
    playbook: Path
    options: tuple[str, ...]
    program: tuple[str, ...]  # in the place of `ansible-playbook`


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of events, and who says whether the run is still wanted."""

    take: Callable[[Mapping[str, Any]], None]
    is_wanted: Callable[[], bool]


def callbacks_folder() -> Path:
    """Return where ansible-runner's own callback plugin lies."""
    return Path(get_callback_dir())


def run(order: Order, watch: Watch) -> int:
    """Run a playbook to its end; return Ansible's exit status. Nothing of it is kept in files."""

    def take(event: dict[str, Any]) -> bool:
        watch.take(event)
        return False  # don't keep it as it is

    config = ansible_runner.RunnerConfig(
        private_data_dir=str(order.folder),
        ident=order.run_id,
        playbook=str(order.playbook),
        inventory=str(order.folder / INVENTORY_FILE),
        settings={"pexpect_timeout": _LOOK_EVERY_S, "suppress_output_file": True},
        quiet=True,
    )
    config.prepare()
    config.command = [*order.program, *config.command[1:], *order.options]
    runner = ansible_runner.Runner(
        config, event_handler=take, cancel_callback=lambda: not watch.is_wanted()
    )
    runner.run()
    return int(runner.rc)
