"""The runner process: runs playbooks, and knows neither the database nor any key.

It has a user of its own, since it reads what tenants write. The worker tells it what to run; it
reaches a server only with the access that the worker got for this one run.
"""

import fcntl
import os
import pwd
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from control_plane.kit.installed import playbooks_dir
from control_plane.kit.log import configure, get_log
from control_plane.locald.processes import become_subreaper
from control_plane.ports.automation.processes import hide_memory
from control_plane.ports.automation.runs import AT_ONCE, Runs
from control_plane.ports.automation.serving import Door
from control_plane.ports.automation.warm import Warm

log = get_log("runner")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the environment says; there are no other settings that this process may know."""

    folder: Path
    playbooks: Path
    clients: frozenset[int]
    at_once: int

    @classmethod
    def read(cls) -> "Configuration":
        """Read EDUBBA_INSTANCE, _RUN_DIR, _RUNNER_CLIENTS, _PLAYBOOKS_DIR and _RUNS_AT_ONCE.

        The clients are users' names or numbers, with commas between them.
        """
        instance = os.environ.get("EDUBBA_INSTANCE", "edubba")
        run_dir = Path(os.environ.get("EDUBBA_RUN_DIR", f"/run/{instance}"))
        wanted = os.environ.get("EDUBBA_RUNNER_CLIENTS", f"{instance}-worker").split(",")
        known = {user.pw_uid for user in pwd.getpwall() if user.pw_name in wanted}
        return cls(
            folder=run_dir / "runner",
            playbooks=Path(os.environ.get("EDUBBA_PLAYBOOKS_DIR") or playbooks_dir()),
            clients=frozenset(known | {int(user) for user in wanted if user.isdecimal()}),
            at_once=int(os.environ.get("EDUBBA_RUNS_AT_ONCE", AT_ONCE)),
        )


def main() -> None:
    """Run until SIGTERM or SIGINT. Raises SystemExit where another runner has the folder."""
    configure(json_lines=True)
    os.umask(0o077)
    hide_memory()
    become_subreaper()  # what its processes leave is found among its own
    wish = Configuration.read()
    lock = (wish.folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"another runner has {wish.folder}") from None
    warm = Warm(wish.folder, wish.playbooks)
    runs = Runs(wish.folder, wish.playbooks, warm, wish.at_once)
    runs.recover()
    warm.start()
    door = Door(wish.folder / "runner.sock", runs, wish.clients)
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: `shutdown` waits for the loop that this handler interrupts.
        signal.signal(number, lambda *_: threading.Thread(target=door.shutdown).start())
    log.info("runner_started", playbooks=str(wish.playbooks), at_once=wish.at_once)
    door.serve_forever()
    runs.stop()
    warm.stop()
    log.info("runner_stopped")
    os._exit(0)  # threads that wait for runs have nothing to wait for any more


if __name__ == "__main__":
    main()
