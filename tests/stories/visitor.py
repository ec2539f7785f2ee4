"""A citizen's browser, as small as it can be: HTTPS to the edge, one kept-alive connection."""

import hashlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Visitor:
    """Trusts one CA and asks one hostname; the name needs no entry in any hosts file."""

    hostname: str
    port: int
    ca_file: Path
    timeout_s: float = 20.0
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> Reply:
        """Ask for a path (not yet percent-encoded) on the connection that is open."""
        answer = self._ask(path, headers or {})
        return Reply(answer.status, _headers(answer), answer.read())

    def post(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Send a form that was filled in."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._ask(path, {**kind, **headers}, "POST", urlencode(fields))
        return Reply(answer.status, _headers(answer), answer.read())

    def digest(self, path: str) -> tuple[int, str]:
        """Return the length and SHA-256 of what is served, without keeping it in memory."""
        answer = self._ask(path, {})
        assert answer.status == http.client.OK, (path, answer.status)
        hasher, length = hashlib.sha256(), 0
        while chunk := answer.read(CHUNK):
            hasher.update(chunk)
            length += len(chunk)
        return length, hasher.hexdigest()

    def close(self) -> None:
        """Hang up; the next question opens a new connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, path: str, headers: Mapping[str, str], method: str = "GET", body: str | None = None
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        host = self.hostname if self.port == 443 else f"{self.hostname}:{self.port}"
        self._connection.request(
            method, quote(path, safe="/%?&=+:@,;~"), body, headers={"Host": host, **headers}
        )
        answer = self._connection.getresponse()
        if answer.will_close:
            self._connection = None
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout_s)
        connection = http.client.HTTPConnection(self.hostname)
        connection.sock = context.wrap_socket(plain, server_hostname=self.hostname)
        return connection


def _headers(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}
