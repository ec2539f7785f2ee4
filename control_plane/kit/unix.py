"""Asking a daemon of this machine over its Unix socket: a line of JSON there, one back.

The answer is `{"ok": true, "result": …}` or `{"ok": false, "code": …, "facts": …, "final": …}`.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Refused, Unavailable

_ANSWER_MAX = 64 << 20  # 10,000 objects are 2 MB


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon's socket; `silent` is the code of Unavailable when it does not answer."""

    path: Path
    silent: str

    @contextmanager
    def connection(self, timeout_s: float) -> Iterator[socket.socket]:
        """Hold a connection. Raises Unavailable when it fails."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self.path))
                yield connection
        except OSError as error:
            raise Unavailable(self.silent, why=str(error)) from error

    def ask(self, verb: str, timeout_s: float, fields: Mapping[str, Any]) -> Any:
        """Ask one thing and return the result. Raises Refused or Unavailable as it says."""
        with self.connection(timeout_s) as connection:
            connection.sendall(new_request(verb, fields))
            return self.result(connection)

    def result(self, connection: socket.socket) -> Any:
        """Return what the daemon answers. Raises Refused or Unavailable as it says."""
        with connection.makefile("rb") as stream:
            line = stream.readline(_ANSWER_MAX)
        if not line.endswith(b"\n"):
            raise Unavailable(self.silent, why="the answer was cut off")
        message = json.loads(line)
        if message["ok"]:
            return message["result"]
        family = Refused if message["final"] else Unavailable
        raise family(message["code"], **message["facts"])


def new_request(verb: str, fields: Mapping[str, Any]) -> bytes:
    """Return a request as it goes over the socket."""
    return json.dumps({"verb": verb, **fields}).encode() + b"\n"
