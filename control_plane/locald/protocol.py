"""How a request comes in and an answer goes out: one line of JSON each, pipes beside it."""

import json
import os
import socket
import stat
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.locald.faults import Refusal

REQUEST_MAX = 1 << 16
HANDLES_MAX = 2
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the process at the other end, as the kernel saw it connect."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def has_gone(connection: socket.socket) -> bool:
    """Whether the client has closed its end, or ended."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def close_all(handles: Sequence[int]) -> None:
    """Close handles that nobody took."""
    for handle in handles:
        os.close(handle)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request and the pipes that came with it; None when the client is gone.

    Raises Refusal for what is too long, no JSON object, or brings anything but pipes.
    """
    line, handles = b"", list[int]()
    try:
        while not line.endswith(b"\n"):
            chunk, more, _, _ = socket.recv_fds(connection, REQUEST_MAX, HANDLES_MAX)
            handles += more
            line += chunk
            if not chunk:
                close_all(handles)
                return None
            _check_size(line, handles)
        return _parse(line), _check(handles)
    except (Refusal, OSError):
        close_all(handles)
        raise


def _check_size(line: bytes, handles: Sequence[int]) -> None:
    if len(line) > REQUEST_MAX or len(handles) > HANDLES_MAX:
        raise Refusal("bad_request", field="size")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise Refusal("bad_request", field="json") from None
    if not isinstance(request, dict):
        raise Refusal("bad_request", field="json")
    return request


def _check(handles: list[int]) -> list[int]:
    """Let only pipes into a server: a handle on a folder would be a way out of it."""
    for handle in handles:
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            raise Refusal("bad_request", field="handle")
        os.set_inheritable(handle, False)  # noqa: FBT003  # the library's own signature
    return handles


def answer(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one answer."""
    connection.sendall(json.dumps(message).encode() + b"\n")
