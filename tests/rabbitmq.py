"""A private RabbitMQ on free ports of loopback, as Debian packages it."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port
from tests.waiting import can_connect, wait_until

_BIN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

NODE = "edubba@localhost"
RIGHTS = r"^(edubba|amq\.default|celery_delayed_.*)$"


@dataclass
class Broker:
    """A node that can be stopped and started again with what it had."""

    folder: Path
    port: int = field(default_factory=free_port)
    names_port: int = field(default_factory=free_port)  # of Erlang's port mapper
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"amqp://edubba:{self.password}@127.0.0.1:{self.port}//"

    def start(self) -> None:
        mapper = ["epmd", "-address", "127.0.0.1", "-port", str(self.names_port)]
        self.processes = [self._spawn(mapper)]
        wait_until(lambda: can_connect(self.names_port))
        self.processes.append(self._spawn([str(_BIN)]))
        wait_until(lambda: can_connect(self.port), 60)

    def stop(self) -> None:
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
        self.processes = []

    def make_user(self) -> None:
        """Make the product's user, with the rights that docs/rabbitmq.md names."""
        self._control("add_user", "edubba", self.password)
        self._control("set_permissions", "edubba", RIGHTS, RIGHTS, RIGHTS)

    def url_of(self, user: str) -> str:
        """Return the URL of another user, who has the same password."""
        return self.url.replace("//edubba:", f"//{user}:")

    def make_reader(self, user: str, queues: str) -> None:
        """Make a user who may read these queues, and do nothing else."""
        self._control("add_user", user, self.password)
        self._control("set_permissions", user, "^$", "^$", queues)

    def make_cloud(self, user: str) -> None:
        """Make a user who publishes as an OpenStack does."""
        self._control("add_user", user, self.password)
        self._control("set_permissions", user, ".*", ".*", ".*")

    def _control(self, *arguments: str) -> None:
        command = [str(_BIN.with_name("rabbitmqctl")), "-n", NODE, *arguments]
        null = subprocess.DEVNULL
        subprocess.run(command, env=self._environment(), check=True, stdin=null, stdout=null)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        # A file, not a pipe: nobody reads it while the node runs.
        with (self.folder / "output").open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,  # an own one: Erlang makes it non-blocking, for all
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{_BIN.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.names_port),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
        }


@contextmanager
def a_broker() -> Iterator[Broker]:
    """Run a broker, and leave nothing of it."""
    broker = Broker(Path(tempfile.mkdtemp(prefix="edubba-rabbitmq-")))
    try:
        broker.start()
        broker.make_user()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(broker.folder)
