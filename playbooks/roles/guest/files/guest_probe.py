"""The probe: as the tenant's own user, try to reach what must not be reached.

It proves that it can connect at all before its silence counts: to a listener of its own, and to
the port that this server answers on.
"""

import contextlib
import errno
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import guest_kernel as kernel
from guest_network import INTERFACE, find_address
from guest_wish import Image

TIMEOUT_S = 3.0  # through a router in user space a first answer takes half a second
METADATA = "169.254.169.254"
_OUTSIDE = ("outside", "192.0.2.1", 80)  # RFC 5737: nobody's address
_GATEWAY_PORTS = (22, 53, 80, 443)
_MOST = 256


@dataclass(frozen=True, slots=True)
class Target:
    """What must not answer; `on_link` is tried past the routes, as anybody may."""

    name: str
    address: str
    port: int
    on_link: bool = False


class BadTargets(Exception):
    """What was asked for names no addresses."""


def parse(text: bytes) -> list[Target]:
    """Return the targets that somebody asks for. Raises BadTargets."""
    try:
        wished = json.loads(text)["targets"]
        found = [
            Target(str(one["name"])[:128], str(IPv4Address(one["address"])), one["port"])
            for one in wished
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BadTargets(str(error)) from error
    if len(found) > _MOST or any(
        type(t.port) is not int or not 0 < t.port < 1 << 16 for t in found
    ):
        raise BadTargets("ports")
    return found


def find_gateway(routes: str) -> str | None:
    """Return the default gateway of `/proc/net/route`, where addresses lie as in memory."""
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and fields[2] != "00000000":
            return str(IPv4Address(struct.pack("=I", int(fields[2], 16))))
    return None


def known_targets() -> list[Target]:
    """Return what this server knows itself that it must not reach."""
    found = [
        Target("metadata", METADATA, 80),
        Target("metadata on the link", METADATA, 80, on_link=True),
    ]
    found.append(Target(*_OUTSIDE))
    gateway = find_gateway(Path("/proc/net/route").read_text())
    if gateway:
        found += [Target(f"gateway {port}", gateway, port) for port in _GATEWAY_PORTS]
    return found


def _connect(target: Target) -> socket.socket | None:
    handle = socket.socket()
    handle.settimeout(0)
    try:
        if target.on_link:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE.encode())
        number = handle.connect_ex((target.address, target.port))
    except OSError:  # no such interface, or not for this user
        handle.close()
        return None
    if number in {0, errno.EINPROGRESS}:
        return handle
    handle.close()  # no way: closed by topology
    return None


def reach(targets: Iterable[Target], timeout_s: float = TIMEOUT_S) -> list[Target]:
    """Try all at once; return those that answered in time."""
    with contextlib.ExitStack() as stack:
        attempts = {}
        for target in targets:
            handle = _connect(target)
            if handle is not None:
                attempts[stack.enter_context(handle)] = target
        reached = []
        waiting, end = set(attempts), time.monotonic() + timeout_s
        while waiting and (left := end - time.monotonic()) > 0:
            for handle in select.select([], list(waiting), [], left)[1]:
                waiting.discard(handle)
                if handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    reached.append(attempts[handle])
        return reached


def _report(targets: Sequence[Target], image: Image) -> dict[str, Any]:
    address = find_address()
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104  # the control
        own = (Target("own", address, listener.getsockname()[1]),) if address else ()
        controls = (*own, Target("service", address or "127.0.0.1", image.port))
        passed = len(reach(controls)) == len(controls) and bool(address)
    reached = sorted({target.name for target in reach(targets)})
    return {
        "controls_passed": passed,
        "reached": reached,
        "tried": [target.name for target in targets],
    }


def run(targets: Sequence[Target], image: Image) -> dict[str, Any]:
    """Probe as the user of the image's process, in a process of its own; return its report."""
    wished = [*known_targets(), *targets]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.become(image.uid, image.gid)
            with os.fdopen(write, "w") as out:
                json.dump(_report(wished, image), out)
        except OSError as error:
            os.write(2, f"probe: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        return {"controls_passed": False, "reached": [], "tried": []}
    report: dict[str, Any] = json.loads(text)
    return report
