"""The way into servers: SSH with certificates of a few minutes, to host keys that are pinned.

All that is asked goes to one program of the server's image, `guest`, which answers a line of JSON.
OpenSSH's own client does the talking; one connection to a server is kept for some seconds.
"""

import json
import os
import shlex
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from control_plane.kit import clock, ssh
from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.openstack.certificates import Authority
from control_plane.ports.cloud.port import Fence
from control_plane.ports.cloud.receiver import Feed, Feeder, Write, read_bounded

PROGRAM = "/usr/lib/edubba/guest"
_LASTS = timedelta(minutes=10)
_RENEWED_BEFORE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server is reached, and the host key by which it is known (`ssh-ed25519 AAAA…`)."""

    server_id: str
    address: IPv4Address
    host_key: str

    @property
    def name(self) -> str:
        """A short name of this way in: another machine behind the address has another one."""
        return sha256(f"{self.address} {self.host_key}".encode()).hexdigest()[:16]


class Guests:
    """Talks to the program inside servers. `folder` is the worker's alone."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.authority = authority
        self._folder = folder
        self._lock = threading.Lock()
        self._until: dict[str, datetime] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ask(self, door: Door, *argv: str, about: Any = None) -> dict[str, Any]:
        """Ask one thing and return the answer. Raises Refused or Unavailable as it says."""

        def feed(write: Write) -> None:
            if about is not None:
                write(json.dumps(about).encode() + b"\n")

        text = self.talk(door, argv, feed)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable("server_unreachable", server=door.server_id, why="no answer")
        code = answer.get("error")
        if code is not None:
            raise Refused(str(code)[:64], server=door.server_id)
        return answer

    def talk(
        self,
        door: Door,
        argv: Sequence[str],
        feed: Feed,
    ) -> bytes:
        """Run the program with `feed`'s input and return what it wrote, which is bounded.

        Raises Unavailable (`server_unreachable`) where it could not be reached or was cut off.
        """
        command = [*self._ssh(door), shlex.join([PROGRAM, *argv])]
        in_read, in_write = os.pipe()
        feeder = Feeder(in_write, feed)
        with subprocess.Popen(
            command, stdin=in_read, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            os.close(in_read)
            feeder.start()
            assert process.stdout is not None  # noqa: S101  # as was asked for
            assert process.stderr is not None  # noqa: S101
            text = read_bounded(process.stdout)
            process.stdout.close()  # one that writes on without end is ended by that
            said = process.stderr.read(4096).decode(errors="replace")
            code = process.wait()
        feeder.join()
        if feeder.failure:
            raise feeder.failure
        if code == ssh.LOST or (code and not text.lstrip().startswith(b'{"error"')):
            raise Unavailable("server_unreachable", server=door.server_id, why=said[-300:])
        return text

    def carry(self, source: Door, target: Door, fence: Fence) -> None:
        """Bring all that was written in one server over to another; both rest.

        Raises Unavailable (`server_unreachable`) where either end did not come to its end.
        """
        pack = [*self._ssh(source), shlex.join([PROGRAM, "pack"])]
        unpack = [*self._ssh(target), shlex.join([PROGRAM, "unpack", *fence_arguments(fence)])]
        piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with (
            subprocess.Popen(pack, stdin=subprocess.DEVNULL, **piped) as giving,
            subprocess.Popen(unpack, stdin=giving.stdout, **piped) as taking,
        ):
            assert giving.stdout is not None  # noqa: S101  # as was asked for
            assert giving.stderr is not None  # noqa: S101
            giving.stdout.close()  # who takes has it, and ends who gives when it ends
            _, said = taking.communicate()
            why = b"\n".join((giving.stderr.read(4096), said[-4096:])).decode(errors="replace")
        if giving.returncode or taking.returncode:
            raise Unavailable("server_unreachable", server=target.server_id, why=why[-300:])

    def forget(self, server_id: str) -> None:
        """Drop what was kept for a server that is gone."""
        with self._lock:
            self._until.pop(server_id, None)
            for path in self._folder.glob(f"{server_id}.*"):
                path.unlink(missing_ok=True)

    def _ssh(self, door: Door) -> list[str]:
        key, name = self._ensure_key(door), door.name
        hosts = self._folder / f"{door.server_id}.{name}.hosts"
        if not hosts.exists():
            _write(hosts, f"{door.server_id} {door.host_key}\n")
        files = (
            f"IdentityFile={key}",
            f"CertificateFile={key}-cert.pub",
            f"UserKnownHostsFile={hosts}",
            f"HostKeyAlias={door.server_id}",
            f"ControlPath={self._folder}/{name}",
        )
        return [*ssh.command(*files), f"root@{door.address}"]

    def _ensure_key(self, door: Door) -> Path:
        path = self._folder / f"{door.server_id}.key"
        with self._lock:
            now = clock.now()
            if self._until.get(door.server_id, now) - now < _RENEWED_BEFORE:
                key = self.authority.issue(door.server_id, "worker", _LASTS)
                _write(path.with_name(f"{path.name}-cert.pub"), key.certificate)
                _write(path, key.private)
                self._until[door.server_id] = now + _LASTS
        return path


def fence_arguments(fence: Fence | None) -> list[str]:
    """Return a fence as the program inside takes it."""
    if fence is None:
        return ["--no-fence"]
    return ["--life", fence.life_id, "--counter", str(fence.counter)]


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
