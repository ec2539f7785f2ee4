"""Strict reading of what a client sent: every field is named, typed and bounded, or refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from control_plane.locald.faults import Refusal

_ID = r"[0-9a-z]{26}"
IDS = {
    kind: re.compile(f"{prefix}_{_ID}")
    for kind, prefix in {
        "tenant": "ten",
        "server": "(?:hst|srv)",
        "agency": "agy",
        "life": "[a-z]{3}",
        "run": "run",
        "wire": "att",
    }.items()
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NETWORK = IPv4Network("100.64.0.0/10")  # RFC 6598: never an agency's own addresses
WIRES = IPv4Network("100.96.0.0/16")  # of the same range, where no server's serial leads
UID_STEP = 0x10000
UID_SKIPPED = 16  # the host's own users, and those of people, live below
SERIAL_MAX = 0xFFFF - UID_SKIPPED - 1  # the last range of uids ends below 2**32


def _refuse(field: str) -> Refusal:
    return Refusal("bad_request", field=field)


def only(request: Mapping[str, Any], *fields: str) -> None:
    """Refuse fields that a verb does not know."""
    for field in sorted(set(request) - {*fields, "verb"}):
        raise _refuse(field[:40])


def text(request: Mapping[str, Any], field: str, most: int = 256) -> str:
    """Return a string without NUL, at most `most` characters long."""
    value = request.get(field)
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise _refuse(field)
    return value


def number(request: Mapping[str, Any], field: str, least: int, most: int) -> int:
    """Return an integer of a closed range."""
    value = request.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _refuse(field)
    return value


def identity(request: Mapping[str, Any], field: str, kind: str) -> str:
    """Return an id of ours, of the kind that is meant."""
    value = text(request, field, 32)
    if not IDS[kind].fullmatch(value):
        raise _refuse(field)
    return value


def mapping(request: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Return a nested object."""
    value = request.get(field)
    if not isinstance(value, dict):
        raise _refuse(field)
    return value


def strings(request: Mapping[str, Any], field: str, most: int, length: int) -> list[str]:
    """Return a list of at most `most` strings without NUL."""
    value = request.get(field)
    if not isinstance(value, list) or len(value) > most:
        raise _refuse(field)
    return [text({field: item}, field, length) for item in value]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server may use at most."""

    memory_mib: int
    cpu_millis: int
    pids: int
    disk_mib: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it should be; addresses and uids follow from the serial."""

    server_id: str
    tenant_id: str
    image: str
    serial: int
    limits: Limits
    epoch: int

    @property
    def uid_base(self) -> int:
        """The host's uid of the server's root."""
        return UID_STEP * (self.serial + UID_SKIPPED)

    @property
    def address(self) -> IPv4Address:
        """The server's end of its link."""
        return NETWORK[4 * self.serial + 2]

    @property
    def gateway(self) -> IPv4Address:
        """The edge's end of the link."""
        return NETWORK[4 * self.serial + 1]


def server(request: Mapping[str, Any]) -> Server:
    """Read a server's specification; what does not follow from its serial is refused."""
    spec = mapping(request, "spec")
    fields = ("server_id", "tenant_id", "image", "limits", "serial", "uid_base", "address", "epoch")
    only(spec, *fields)
    limits = mapping(spec, "limits")
    only(limits, "memory_mib", "cpu_millis", "pids", "disk_mib")
    image = text(spec, "image", 80)
    if not _DIGEST.fullmatch(image):
        raise _refuse("image")
    wish = Server(
        server_id=identity(spec, "server_id", "server"),
        tenant_id=identity(spec, "tenant_id", "tenant"),
        image=image,
        serial=number(spec, "serial", 1, SERIAL_MAX),
        limits=Limits(
            memory_mib=number(limits, "memory_mib", 32, 1 << 20),  # runc itself needs some 20
            cpu_millis=number(limits, "cpu_millis", 10, 1_000_000),
            pids=number(limits, "pids", 16, 1 << 16),
            disk_mib=number(limits, "disk_mib", 16, 1 << 24),
        ),
        epoch=number(spec, "epoch", 0, 1 << 40),
    )
    if number(spec, "uid_base", 0, 1 << 32) != wish.uid_base:
        raise _refuse("uid_base")
    if text(spec, "address", 15) != str(wish.address):
        raise _refuse("address")
    return wish


@dataclass(frozen=True, slots=True)
class WireWish:
    """The way from one server to one port of another of the same tenant."""

    wire_id: str
    tenant_id: str
    from_server: str
    to_server: str
    port: int

    @property
    def ends(self) -> tuple[str, str]:
        """The server that asks, and the one that answers."""
        return self.from_server, self.to_server


def wire(request: Mapping[str, Any]) -> WireWish:
    """Read a wire's specification."""
    spec = mapping(request, "spec")
    only(spec, "wire_id", "tenant_id", "from_server", "to_server", "port")
    return WireWish(
        wire_id=identity(spec, "wire_id", "wire"),
        tenant_id=identity(spec, "tenant_id", "tenant"),
        from_server=identity(spec, "from_server", "server"),
        to_server=identity(spec, "to_server", "server"),
        port=number(spec, "port", 1, 65535),
    )


@dataclass(frozen=True, slots=True)
class Target:
    """An address that a server must not reach."""

    name: str
    address: str
    port: int


def targets(request: Mapping[str, Any]) -> list[Target]:
    """Read what a probe shall try, at most 64 of them."""
    value = request.get("targets")
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 64:  # noqa: PLR2004
        raise _refuse("targets")
    found = []
    for item in value:
        if not isinstance(item, dict):
            raise _refuse("targets")
        only(item, "name", "address", "port")
        address = text(item, "address", 15)
        try:
            IPv4Address(address)
        except ValueError:
            raise _refuse("address") from None
        found.append(Target(text(item, "name", 64), address, number(item, "port", 1, 65535)))
    return found
