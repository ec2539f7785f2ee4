"""A whole installation of real processes, beside whatever else runs on this machine.

It runs from the checkout, under an instance name, ports and directories of its own, and leaves
nothing behind. Each process has the rights it has in the product: locald and the edge's launcher
are root, web and worker are two users known by number alone. Only where those can't read the
checkout (a home directory closed to others) do they run as root too.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from control_plane.kit.db import Database
from control_plane.settings import Settings
from tests.images import prepared_images
from tests.ports import free_port
from tests.stories import traces
from tests.stories.cli import Account, Cli
from tests.stories.people import Person, log_in
from tests.stories.visitor import Visitor
from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
LOCALD = CHECKOUT / "control_plane" / "locald"
GROUP_ID, WEB_ID, WORKER_ID, EDGE_ID, RUNNER_ID = range(61_020, 61_025)  # no entries
GRACE_S = 30


def _identity(user_id: int) -> Any:
    """Return what makes a new process somebody else's; root needs nothing."""
    if user_id == 0:
        return {}
    return {"user": user_id, "group": user_id, "extra_groups": [GROUP_ID]}


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the product: its module, what it is told, and who it runs as."""

    arguments: tuple[str, ...]
    user_id: int = 0
    umask: int = 0o022


@dataclass
class Installation:
    """The running product: its processes, its doors, and where it keeps what."""

    database_url: str = ""
    instance: str = field(default_factory=lambda: f"t{secrets.token_hex(3)[:5]}")
    ports: dict[str, int] = field(
        default_factory=lambda: {
            name: free_port() for name in ("http", "https", "edge_metrics", "web", "worker_metrics")
        }
    )
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    is_shared_checkout: bool = True

    @property
    def folder(self) -> Path:
        # The instance's name is a part of each path, so that `traces` finds what is left.
        return Path("/tmp/edubba-stories") / self.instance  # noqa: S108  # made by root, 0755

    @property
    def zone(self) -> str:
        return f"{self.instance}.localhost"

    @property
    def settings(self) -> Settings:
        return Settings(
            instance=self.instance,
            zone=self.zone,
            state_dir=self.folder / "state",
            run_dir=self.folder / "run",
            database_url=SecretStr(self.database_url),
        )

    @property
    def environment(self) -> dict[str, str]:
        told = {
            "INSTANCE": self.instance,
            "ZONE": self.zone,
            "STATE_DIR": str(self.settings.state_dir),
            "RUN_DIR": str(self.settings.run_dir),
            "DATABASE_URL": self.settings.database_url.get_secret_value(),
            "BIND_PORT": str(self.ports["web"]),
            "WORKER_METRICS_PORT": str(self.ports["worker_metrics"]),
            "EDGE_METRICS_PORT": str(self.ports["edge_metrics"]),
            "EDGE_HTTPS_PORT": str(self.ports["https"]),
            "LOCALD_USERS": str(self.user_id(WORKER_ID)),
            "LOCALD_RUNNERS": str(self.user_id(RUNNER_ID)),
            "RUNNER_CLIENTS": str(self.user_id(WORKER_ID)),
        }
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{f"EDUBBA_{name}": value for name, value in told.items()},
        }

    @property
    def programs(self) -> dict[str, Program]:
        """What supervisord runs in the product, in the order in which it starts them."""
        edge = ["-m", "control_plane.locald.edge", "--instance", self.instance]
        edge += ["--config", str(self.folder / "etc" / "haproxy.cfg")]
        for option, port in (("http", "http"), ("https", "https"), ("metrics", "edge_metrics")):
            edge += [f"--{option}", f"127.0.0.1:{self.ports[port]}"]
        edge += ["--state", str(self.settings.edge_dir), "--admin", str(self.settings.edge_socket)]
        edge += ["--user", str(EDGE_ID), "--worker", str(WORKER_ID)]
        return {
            "locald": Program(("-IS", str(LOCALD))),
            "edge": Program(tuple(edge)),
            "runner": Program(("-m", "control_plane.runner"), self.user_id(RUNNER_ID), 0o077),
            "worker": Program(("-m", "control_plane.worker"), self.user_id(WORKER_ID), 0o007),
            "web": Program(("-m", "control_plane.app"), self.user_id(WEB_ID), 0o007),
        }

    def user_id(self, wished: int) -> int:
        return wished if self.is_shared_checkout else 0

    # Processes

    def start(self, name: str) -> None:
        """Start a process, its output in a log of its name."""
        program = self.programs[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *program.arguments],
                cwd="/",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=program.umask,
                **_identity(program.user_id),
            )

    def kill(self, name: str) -> None:
        """End a process as a crash would."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(GRACE_S)

    def crash(self, name: str) -> None:
        """Let a process crash and come back at once, as supervisord would bring it."""
        self.kill(name)
        self.start(name)

    def stop(self, name: str) -> None:
        """End a process as `make down` would."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(GRACE_S)
            raise

    def start_all(self) -> None:
        for name in self.programs:
            if name not in self.processes:
                self.start(name)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait for `/readyz`. A process that ended says in the error why."""
        wait_until(self._is_ready, 60)

    def log_of(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _is_ready(self) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}: {self.log_of(name)}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    # Doors

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['web']}"

    def visitor(self, hostname: str) -> Visitor:
        return Visitor(hostname, self.ports["https"], self.settings.ca_file)

    def person(self, role: str) -> Person:
        """Return an example account's holder, logged in once: many logins would be refused."""
        if role not in self.people:
            self.people[role] = log_in(self.url, self.accounts[role])
        return self.people[role]

    def cli(self, account: Account) -> Cli:
        """Return somebody's command line, logged in; their home is the same each time."""
        cli = Cli(self.url, self.folder / "home" / account.email, account)
        if not cli.home.exists():
            cli.log_in()
        return cli

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Open the database, to look at what no door shows."""
        database = Database(self.settings.database_url.get_secret_value(), pool_size=2)
        try:
            yield database
        finally:
            database.close()

    # Setting up, as the installer does it

    def set_up(self) -> None:
        """Make directories, tables and accounts, and see that there is an image."""
        self.prepare()
        told = self.run_once(["-m", "control_plane.cli.examples"], self.user_id(WORKER_ID))
        for row in json.loads(told):
            self.accounts[row["role"]] = Account(row["email"], row["password"])

    def prepare(self) -> None:
        """Do all of that but the accounts."""
        self.make_directories()
        self.is_shared_checkout = self._is_readable_by_others()
        self.run_once(["-m", "control_plane.migrations"], self.user_id(WORKER_ID))
        arguments = ["--state", str(self.settings.edge_dir)]
        arguments += ["--configuration", str(self.folder / "etc")]
        arguments += ["--https-port", str(self.ports["https"])]
        self.run_once(["-m", "control_plane.ports.edge", *arguments])
        (self.settings.state_dir / "images").symlink_to(prepared_images())

    def run_once(self, arguments: list[str], user_id: int = 0) -> str:
        """Run a command of the product to its end, as the installer would; return what it said."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [sys.executable, *arguments],
            cwd="/",
            env=self.environment,
            capture_output=True,
            text=True,
            umask=0o022 if user_id == 0 else 0o007,
            check=False,
            **_identity(user_id),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_directories(self) -> None:
        settings = self.settings
        for path, owner, group, mode in (
            (self.folder, 0, 0, 0o755),
            (settings.run_dir, 0, 0, 0o755),
            (settings.bell_socket.parent, WORKER_ID, GROUP_ID, 0o2750),
            (settings.run_dir / "runner", RUNNER_ID, WORKER_ID, 0o2750),
            (settings.state_dir, 0, 0, 0o755),
            (settings.state_dir / "database", WORKER_ID, GROUP_ID, 0o2770),
            (settings.blobs_dir, WORKER_ID, GROUP_ID, 0o2770),
            (settings.keys_dir, WORKER_ID, WORKER_ID, 0o700),
            (settings.edge_dir, WORKER_ID, EDGE_ID, 0o2751),
        ):
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, owner, group)
            path.chmod(mode)
        file = settings.state_dir / "database" / "edubba.db"
        file.touch()  # SQLite itself would make it writable for its owner alone
        os.chown(file, WORKER_ID, GROUP_ID)
        file.chmod(0o660)

    def _is_readable_by_others(self) -> bool:
        command = [sys.executable, "-c", "import control_plane.settings"]
        done = subprocess.run(
            command,
            cwd="/",
            env=self.environment,
            capture_output=True,
            check=False,
            **_identity(WORKER_ID),
        )
        return done.returncode == 0

    # Taking away

    def take_away(self) -> None:
        """End all processes by their ids, remove what they made, and see that nothing is left."""
        try:
            for name in reversed(list(self.programs)):
                if name in self.processes:
                    self.stop(name)
        finally:
            self.run_once(["-IS", str(LOCALD / "clean.py"), *self.clean_options])
            shutil.rmtree(self.folder)
        assert self.list_traces() == []

    @property
    def clean_options(self) -> list[str]:
        options = ["--instance", self.instance, "--state", str(self.settings.state_dir)]
        return [*options, "--run", str(self.settings.run_dir), "--data"]

    def list_traces(self) -> list[str]:
        """Return what is left of this installation on the machine."""
        return [
            *traces.list_commands(str(self.folder)),
            *traces.list_mounts(self.instance),
            *traces.list_namespaces(self.instance),
            *traces.list_rules(self.instance),
            *traces.list_cgroups(self.instance),
            *traces.list_loop_devices(self.instance),
            *(str(path) for path in [self.folder] if path.exists()),
        ]


@contextmanager
def installed(database_url: str = "") -> Iterator[Installation]:
    """Set an installation up, run it, and take every part of it away again."""
    installation = Installation(database_url)
    with ExitStack() as stack:
        stack.callback(installation.take_away)
        installation.set_up()
        installation.start_all()
        yield installation
