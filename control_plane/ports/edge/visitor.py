"""A visitor: asks an edge over HTTPS from outside, trusts one CA, and doesn't wait for ever."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer

from control_plane.kit.errors import Unavailable
from control_plane.ports.edge.port import Answer
from control_plane.ports.edge.rules import check_hostname, check_path

BODY_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where the edge listens, whom to trust, and how long the whole visit may take."""

    host: str
    port: int
    ca_file: Path
    timeout_s: float = 10.0

    def visit(self, hostname: str, path: str) -> Answer:
        """Return the answer. Raises Unavailable: no connection, no trust, or too slow."""
        check_hostname(hostname)
        check_path(path)
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            with (
                socket.create_connection((self.host, self.port), self.timeout_s) as plain,
                context.wrap_socket(
                    plain, server_hostname=hostname, do_handshake_on_connect=False
                ) as connection,
                _deadline(connection, self.timeout_s),
            ):
                connection.do_handshake()
                return _ask(connection, hostname, path)
        except ssl.SSLCertVerificationError as error:
            raise Unavailable("edge_not_trusted", reason=error.verify_message) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("edge_unreachable", reason=str(error)) from error


def _ask(connection: ssl.SSLSocket, hostname: str, path: str) -> Answer:
    client = http.client.HTTPConnection(hostname)
    client.sock = connection
    client.request("GET", path, headers={"connection": "close", "user-agent": "edubba-observer"})
    response = client.getresponse()
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Answer(response.status, headers, response.read(BODY_MAX))


@contextmanager
def _deadline(connection: ssl.SSLSocket, timeout_s: float) -> Iterator[None]:
    """Cut a connection after a time: the time-out of a socket starts anew with each byte."""
    passed = Event()

    def cut() -> None:
        passed.set()
        with suppress(OSError):  # the visit has just ended by itself
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = Timer(timeout_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if passed.is_set():
            raise TimeoutError(f"no whole answer within {timeout_s} s")
