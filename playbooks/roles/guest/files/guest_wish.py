"""What this server is told by its cloud, and what its image tells: pure but for the reading."""

import base64
import binascii
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = Path("/usr/lib/edubba/guest.json")
FORMAT = 1
_SERVER = re.compile(r"(?:hst|srv)_[0-9a-z]{26}")
_KEY = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/]+={0,2})(?: [ -~]*)?")
_KEY_START = struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32)
_MOST = 1 << 31
LIMITS = ("memory_mib", "cpu_millis", "pids", "disk_mib")


class BadWish(Exception):
    """User data that no server can be made of; its text names the field."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user data says."""

    server_id: str
    user_ca: str  # `ssh-ed25519 AAAA…`, whose certificates open this server
    limits: dict[str, int]


@dataclass(frozen=True, slots=True)
class Image:
    """What the image says: what is run in it, as whom, and where that may write."""

    digest: str
    args: tuple[str, ...]
    uid: int
    gid: int
    receiver_uid: int
    receiver_gid: int
    writable: tuple[str, ...]
    executable: tuple[str, ...]
    port: int


def _key(value: Any) -> str:
    found = _KEY.fullmatch(value) if isinstance(value, str) else None
    try:
        raw = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        raw = b""
    if found is None or not raw.startswith(_KEY_START) or len(raw) != len(_KEY_START) + 32:
        raise BadWish("user_ca")
    return f"ssh-ed25519 {found[1]}"


def _limits(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        raise BadWish("limits")
    for name in LIMITS:
        number = value.get(name)
        if type(number) is not int or not 0 < number < _MOST:
            raise BadWish(f"limits.{name}")
    return {name: value[name] for name in LIMITS}


def parse(text: bytes) -> Wish:
    """Return what user data says. Raises BadWish."""
    try:
        told = json.loads(text)
    except ValueError as error:
        raise BadWish("not JSON") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BadWish("format")
    server = told.get("server_id")
    if not isinstance(server, str) or not _SERVER.fullmatch(server):
        raise BadWish("server_id")
    return Wish(server, _key(told.get("user_ca")), _limits(told.get("limits")))


def read_image(path: Path = IMAGE) -> Image:
    """Return what the image says of itself."""
    told = json.loads(path.read_text())
    process, receiver = told["process"], told["receiver"]
    return Image(
        digest=told["digest"],
        args=tuple(process["args"]),
        uid=process["uid"],
        gid=process["gid"],
        receiver_uid=receiver["uid"],
        receiver_gid=receiver["gid"],
        writable=tuple(told["writable"]),
        executable=tuple(told["executable"]),
        port=told["port"],
    )
