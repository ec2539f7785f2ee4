"""A proxy between a worker and a cloud's APIs that does to calls what networks and clouds do.

It speaks plain HTTP, as `http_proxy` in the environment of a process asks for it, so that the
adapter under test is the one that runs in production. What it passed on and what it did is kept.
"""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# Before the effect: errors, a reset. After it: slow, told as an error, or not told at all. `late`
# is a call whose caller has gone away and that takes effect only then.
FAULTS = ("500", "503", "429", "reset", "slow", "lost", "lost_502", "late")
UPSTREAM_TIMEOUT_S = 90
_HOP_BY_HOP = frozenset(
    {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it came, what was asked, what was done to it, what the cloud said to it."""

    at: float
    method: str
    url: str
    fault: str
    status: int = 0
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path, without what is asked of it."""
        return urlsplit(self.url).path


@dataclass
class Proxy:
    """Does something to a share of calls, chosen by a seed, which may change at any time.

    `late` is the share of what makes something that nobody is told of, and that comes late.
    """

    seed: int
    share: float
    late: float = 0.0
    calls: list[Call] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._random, self._lock = random.Random(self.seed), threading.Lock()  # noqa: S311

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process's calls through here."""
        return {"http_proxy": f"http://127.0.0.1:{self.port}", "no_proxy": ""}

    def choose(self, method: str, url: str) -> str:
        """Return what to do to the next call; nothing: pass it on."""
        with self._lock:
            if method == "POST" and not url.endswith("/tokens") and self._happens(self.late):
                return "late"
            return self._random.choice(FAULTS) if self._happens(self.share) else ""

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def pause_s(self) -> float:
        """Return how long something takes that takes long."""
        with self._lock:
            return self._random.uniform(0.5, 3.0)

    def note(self, call: Call) -> None:
        """Keep a call."""
        with self._lock:
            self.calls.append(call)

    def told(self) -> str:
        """Return what was done, in a line."""
        with self._lock:
            done = Counter(call.fault for call in self.calls)
        faults = ", ".join(f"{name} {count}" for name, count in sorted(done.items()) if name)
        return f"{sum(done.values())} calls; {faults or 'no faults'}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def answer(self) -> None:
        """Do to one call what was chosen for it."""
        begun, fault = time.time(), self.proxy.choose(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if fault in {"500", "503", "429"}:
            self._note(begun, fault)
            self._tell(int(fault), {"Retry-After": "1"} if fault == "429" else {}, b"")
        elif fault == "reset":
            self._note(begun, fault)
            self._reset()
        else:
            self._pass_on(begun, fault, body)

    def _pass_on(self, begun: float, fault: str, body: bytes) -> None:
        if fault == "late":
            self._reset()
        if fault in {"slow", "late"}:
            threading.Event().wait(self.proxy.pause_s())
        status, headers, text = self._ask(body)
        self._note(begun, fault, status, text)
        if fault == "lost":
            self._reset()
        elif fault == "lost_502":
            self._tell(502, {}, b"")
        elif fault != "late":
            self._tell(status, headers, text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def _note(self, begun: float, fault: str, status: int = 0, body: bytes = b"") -> None:
        self.proxy.note(Call(begun, self.command, self.path, fault, status, body))

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        to = urlsplit(self.path)
        upstream = http.client.HTTPConnection(to.netloc, timeout=UPSTREAM_TIMEOUT_S)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        path = f"{to.path or '/'}?{to.query}" if to.query else to.path or "/"
        try:
            upstream.request(self.command, path, body or None, headers)
            answer = upstream.getresponse()
            text = answer.read()
        finally:
            upstream.close()
        return answer.status, dict(answer.getheaders()), text

    def _tell(self, status: int, headers: dict[str, str], text: bytes) -> None:
        try:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            if self.command != "HEAD" and status != http.HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)
        except OSError:
            self.close_connection = True  # who asked was killed

    def _reset(self) -> None:
        """Let the connection end as if the machine behind it had gone."""
        self.close_connection = True
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: calls are kept."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke: breaking them is what this is for."""


@contextmanager
def running_proxy(seed: int, share: float, late: float = 0.0) -> Iterator[Proxy]:
    """Run one on loopback."""
    proxy = Proxy(seed, share, late)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with _Server(("127.0.0.1", 0), handler) as server:
        proxy.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
