"""haproxy's runtime interface: one command, one answer, over its Unix socket."""

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from control_plane.kit.errors import Unavailable

_TIMEOUT_S = 5.0
_COMMAND_MAX = 16_000  # tune.bufsize is 16,384: a longer command would be cut
_CHUNK = 65_536


class RuntimeInterface:
    """Sends commands made of checked parts; each opens its own connection (0.1 ms)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, command: str, payload: Iterable[str] = ()) -> str:
        """Return haproxy's answer; `payload` are lines, none of them empty.

        Raises Unavailable if haproxy does not run or does not answer.
        """
        lines = list(payload)
        if any(mark in command for mark in "\n;\\") or not all(lines):
            raise ValueError("a command is one line, and a payload has no empty one")
        text = f"{command} <<\n" + "\n".join(lines) + "\n\n" if lines else f"{command}\n"
        if len(text) > _COMMAND_MAX:
            raise ValueError(f"a command has at most {_COMMAND_MAX} bytes")
        try:
            return self._exchange(text.encode("ascii")).decode("utf-8").strip()
        except OSError as error:
            raise Unavailable("edge_unavailable", reason=str(error)) from error

    def _exchange(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(self._path))
            connection.sendall(request)
            parts = []
            while part := connection.recv(_CHUNK):
                parts.append(part)
            return b"".join(parts)


def list_batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Cut lines into payloads that fit one command."""
    batch: list[str] = []
    size = 0
    for line in lines:
        if batch and size + len(line) + 1 > _COMMAND_MAX - 1_000:  # room for the command itself
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield batch
