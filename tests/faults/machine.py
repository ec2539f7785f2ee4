"""The world outside on this machine: a root daemon, an edge and a disk, to be broken and killed."""

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.locald.names import Names
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.port import Fence
from control_plane.regions import LocalRegion
from control_plane.settings import Settings
from control_plane.worker import _publish_authority, new_ports
from tests.stories.installation import Installation
from tests.waiting import wait_until

_HERE = LocalRegion(kind="local")
LOOKS_EVERY_S = 0.02


@dataclass
class MachineWorld:
    """What `World` is in memory; all of it outlives the worker by nature."""

    settings: Settings

    def __post_init__(self) -> None:
        ports = new_ports(self.settings, {"here": _HERE})
        _publish_authority(self.settings, ports)
        self.cloud, self.edge = ports.cloud("here"), ports.edge
        self.blobs, self.keyring, self.automation = ports.blobs, ports.keyring, ports.automation

    @property
    def zone(self) -> str:
        return self.settings.zone

    def ports(self, region_id: str) -> Ports:
        return new_ports(self.settings, {region_id: _HERE})

    def offer_newer_image(self) -> None:
        """Do nothing: making one takes long, and what comes of it is seen in memory."""

    def stop_server(self, server_id: str) -> None:
        self._runc("kill", server_id, "KILL")
        wait_until(lambda: '"stopped"' in self._runc("state", server_id))

    def lose_server(self, server_id: str) -> None:
        self.cloud.destroy_server(server_id, Fence(new_id("lif"), 1))

    def _runc(self, verb: str, *arguments: str) -> str:
        settings = self.settings
        names = Names.of(settings.instance, settings.state_dir, settings.run_dir)
        argv = ["runc", "--root", str(names.runc_root), verb, *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def processes(self) -> dict[str, int]:
        """Return the process ids of the root daemon and the runner, of those that answer."""
        found = {
            name: _listener(path)
            for name, path in (
                ("daemon", self.settings.locald_socket),
                ("runner", self.settings.runner_socket),
            )
        }
        try:
            list(self.cloud.list_images())
        except Unavailable:
            found["daemon"] = None
        return {name: pid for name, pid in found.items() if pid is not None}


def _listener(path: Path) -> int | None:
    """Return who listens on a socket, if anybody does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            told = connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
            )
    except OSError:
        return None
    pid: int = struct.unpack("3i", told)[0]
    return pid


@dataclass
class Machine(Installation):
    """An installation whose worker is the test, run as root; daemon and edge are the product's."""

    is_over: threading.Event = field(default_factory=threading.Event)

    def user_id(self, wished: int) -> int:  # noqa: ARG002  # whoever it would be
        return 0

    def make_directories(self) -> None:
        super().make_directories()
        os.chown(self.settings.keys_dir, 0, 0)  # keys are for their owner alone

    def begin(self) -> None:
        for name in ("locald", "edge", "runner"):
            self.start(name)
        wait_until(self.settings.edge_socket.exists)
        self.supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self.supervisor.start()

    def end(self) -> None:
        self.is_over.set()
        self.supervisor.join()

    def _supervise(self) -> None:
        """Start root daemon and runner again whenever they have ended, as supervisord does."""
        while not self.is_over.wait(LOOKS_EVERY_S):
            for name in ("locald", "runner"):
                if self.processes[name].poll() is not None:
                    self.start(name)


@contextmanager
def a_machine() -> Iterator[Machine]:
    """Give a running machine; afterwards nothing of it is left."""
    machine = Machine()
    with ExitStack() as stack:
        stack.callback(machine.take_away)
        machine.prepare()
        machine.begin()
        stack.callback(machine.end)
        yield machine
