"""What there is in a cloud in memory, and how its servers answer."""

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address

from control_plane.kit import clock
from control_plane.kit.errors import Refused
from control_plane.ports.cloud.port import (
    LOG_BYTES_MAX,
    LOG_LINE_MAX,
    Fence,
    LogFact,
    LogLine,
    ReleaseSpec,
    ServerSpec,
    WireSpec,
)
from control_plane.ports.edge.port import NONCE_PATH

Served = tuple[int, dict[str, str], bytes]
Said = tuple[datetime, str]  # a line of a log
_STAMP_BYTES = 32  # what a line takes besides its text


@dataclass(slots=True)
class Server:
    """A server as it is in this world."""

    spec: ServerSpec
    is_running: bool = True
    is_leaking: bool = False  # its isolation is gone: every target answers
    configuration: str = ""  # what a play or somebody else has written inside
    down: tuple[str, ...] = ()  # services that should run
    is_preparing: bool = False  # the commands of a release are still running
    blobs: dict[str, bytes] = field(default_factory=dict)
    logs: dict[str, list[Said]] = field(default_factory=dict)  # by service, all it ever wrote
    releases: dict[str, ReleaseSpec] = field(default_factory=dict)
    live: str | None = None
    holds_data: bool = False


@dataclass(slots=True)
class Wire:
    """A wire as it is in this world; it is down once one of its servers was stopped."""

    spec: WireSpec
    address: IPv4Address
    is_up: bool = False


@dataclass(slots=True)
class Run:
    """A run that may command a server."""

    fence: Fence
    until: datetime = field(default_factory=clock.now)
    ticket: str = field(default_factory=lambda: secrets.token_hex(8))


def ends_of(spec: WireSpec) -> tuple[str, str]:
    """Return the two servers that a wire joins."""
    return spec.from_server, spec.to_server


def check_path(path: str) -> None:
    """Raise Refused (`path_malformed`) if a release may not have the path."""
    parts = path.split("/")
    is_safe = not any(part in {"", ".", ".."} or "\0" in part for part in parts)
    if not is_safe or unicodedata.normalize("NFC", path) != path:
        raise Refused("path_malformed", path=path)


def serve(server: Server, deployment_id: str | None, path: str) -> Served:
    """Answer a visitor who asks a server for a path of a deployment."""
    spec = server.releases.get(deployment_id or "")
    if spec is None:
        return 404, {}, b""
    if path == NONCE_PATH:
        return 200, {"content-type": "text/plain"}, spec.nonce.encode()
    files = {file.path: server.blobs[file.digest] for file in spec.files}
    wanted = path.lstrip("/")
    if not wanted or wanted.endswith("/"):
        wanted += "index.html"
    if wanted in files:
        return 200, {}, files[wanted]
    if any(name.startswith(f"{wanted}/") for name in files):
        return 301, {"location": f"/{wanted}/"}, b""
    return 404, {}, files.get("404.html", b"")


def read_logs(server: Server, marks: Mapping[str, str]) -> LogFact:
    """Return what a server's services said after these marks: how many lines each had said."""
    share = LOG_BYTES_MAX // max(1, len(server.logs))
    lines: list[LogLine] = []
    lost = {}
    for service, said in server.logs.items():
        known = int(marks.get(service, "0"))
        fresh = said[known:] if known <= len(said) else said  # it was made anew meanwhile
        kept, size = 0, 0
        for _, text in reversed(fresh):
            size += len(text.encode()) + _STAMP_BYTES
            if size > share:
                break
            kept += 1
        passed_over, told = fresh[: len(fresh) - kept], fresh[len(fresh) - kept :]
        lines += [_line(service, at, text) for at, text in told]
        if passed_over:
            lost[service] = sum(len(text.encode()) + _STAMP_BYTES for _, text in passed_over)
    lines.sort(key=lambda line: line.at or datetime.min.replace(tzinfo=UTC))
    return LogFact(lines, {name: str(len(said)) for name, said in server.logs.items()}, lost)


def _line(service: str, at: datetime, text: str) -> LogLine:
    data = text.encode()
    shown = data[:LOG_LINE_MAX].decode(errors="replace")
    return LogLine(service, at, shown, is_cut=len(data) > LOG_LINE_MAX)
