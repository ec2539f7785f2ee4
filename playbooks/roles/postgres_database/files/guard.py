#!/usr/bin/python3 -IS
"""Look after PostgreSQL: its disk, and whether it answers.

A disk that is full to the last byte stops PostgreSQL for good, because it can't write its log. So
transactions are read-only while little is left, and those under way end with an error. Who wants
to make room begins with `BEGIN READ WRITE`. Where even that was too late, PostgreSQL starts with
the room of a file that is kept for it; who then fills that, too, needs a larger disk.

A database has a deployment like any hosting, and shows its page and its nonce on the ports that a
web server would have: the nonce only while PostgreSQL answers.
"""

import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

DATA = Path("/srv/data")
BALLAST = DATA / "ballast"
SITE = Path("/srv/site")
MIB = 1 << 20
# What is free: a share of the disk, and MiB, for a small disk is filled between two looks.
READ_ONLY = (0.08, 48)
WRITABLE = (0.12, 72)
LAST = (0.04, 24)  # nobody writes, whatever they asked for
BALLAST_SIZE = (0.04, 32)
LOOK_S = 0.1
ASK_S = 3.0
SOON_S = 0.5
ANSWER_COUNTS_S = 10.0  # > two questions
QUERY_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 1.0
REQUEST_MAX = 16384
PSQL = ["psql", "-h", "/run/postgresql", "-U", "postgres", "-d", "postgres", "-XqAt"]
END_WRITERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_xid IS NOT NULL AND backend_type = 'client backend'"
)
LISTEN = {("0.0.0.0", 80): "live", ("127.0.0.1", 8081): "staged"}  # noqa: S104  # inside a server
NONCE_PATH = "/.well-known/edubba/deployment"
PAGE = re.compile(r"[A-Za-z0-9_-]+\.(html|css|svg)")
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "svg": "image/svg+xml"}


def query(*statements: str) -> str | None:
    """Run statements as the administrator; return what went wrong."""
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1", *(part for one in statements for part in ("-c", one))]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=QUERY_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "PostgreSQL does not answer"
    return done.stderr.strip()[-500:] or "psql failed" if done.returncode else None


def say(text: str) -> None:
    """Leave a line in the log."""
    os.write(1, text.encode() + b"\n")


class Disk:
    """The disk, and whether PostgreSQL may write on it."""

    def __init__(self) -> None:
        self._is_read_only: bool | None = None  # PostgreSQL remembers it over restarts

    def look(self) -> None:
        """Change what differs from what the disk allows."""
        usage = shutil.disk_usage(DATA)

        def size(limit: tuple[float, int]) -> int:
            return max(int(usage.total * limit[0]), limit[1] * MIB)

        ballast = size(BALLAST_SIZE)
        if usage.free < size(LAST):
            query(END_WRITERS)
        elif usage.free >= size(WRITABLE) + ballast:
            _ensure_ballast(ballast)
        if usage.free < size(READ_ONLY):
            self._be(read_only=True, free=usage.free)
        elif usage.free >= size(WRITABLE):
            self._be(read_only=False, free=usage.free)

    def _be(self, *, read_only: bool, free: int) -> None:
        if read_only is self._is_read_only:
            return
        change = (
            "SET default_transaction_read_only = on"
            if read_only
            else "RESET default_transaction_read_only"
        )
        statements = [f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()"]
        trouble = query(*statements, *([END_WRITERS] if read_only else []))
        word = "read-only" if read_only else "writable"
        say(f"{free // MIB} MiB of the disk are free: {trouble or word}")
        if trouble:
            time.sleep(ASK_S)
        else:
            self._is_read_only = read_only


def _ensure_ballast(size: int) -> None:
    if not BALLAST.is_file() or BALLAST.stat().st_size != size:
        with BALLAST.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)


@dataclass
class Health:
    """When PostgreSQL last answered a query."""

    answered_at: float = float("-inf")

    @property
    def is_good(self) -> bool:
        """Whether an answer is so young that it counts."""
        return time.monotonic() - self.answered_at < ANSWER_COUNTS_S

    def ask_on(self) -> None:
        """Ask again and again."""
        while True:
            asked_at = time.monotonic()
            if query("SELECT 1") is None:
                self.answered_at = asked_at
            time.sleep(ASK_S if self.is_good else SOON_S)


# What the edge sees


def answer_on(health: Health) -> None:
    """Answer requests, one after the other: the edge has a whole one when it connects."""
    stages = {socket.create_server(at, backlog=128): stage for at, stage in LISTEN.items()}
    while True:
        for listener in select.select(list(stages), [], [])[0]:
            connection, _ = listener.accept()
            connection.settimeout(REQUEST_TIMEOUT_S)
            with contextlib.suppress(OSError), connection:
                _answer(connection, SITE / stages[listener], health)


def _answer(connection: socket.socket, deployment: Path, health: Health) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(REQUEST_MAX)
        if not piece or len(request) > REQUEST_MAX:
            return
        request += piece
    method, _, rest = request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    status, kind, body = find_page(deployment, rest.partition(" ")[0].partition("?")[0], health)
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    connection.sendall(head.encode() + b"\r\n" + (b"" if method == "HEAD" else body))


def find_page(deployment: Path, path: str, health: Health) -> tuple[str, str, bytes]:
    """Return status, kind and content of what a path names."""
    page = PAGE.fullmatch(path.removeprefix("/") or "index.html")
    try:
        if path == NONCE_PATH:
            if not health.is_good:
                return "503 Service Unavailable", "text/plain", b"PostgreSQL does not answer\n"
            return "200 OK", "text/plain", (deployment / "nonce").read_bytes()
        if page:
            return "200 OK", KINDS[page[1]], (deployment / "tree" / page[0]).read_bytes()
    except OSError:
        pass
    return "404 Not Found", "text/plain", b"Not found\n"


def _end(failed: threading.ExceptHookArgs) -> None:
    sys.__excepthook__(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)  # all of it is started again


def main() -> None:
    """Do all of it for as long as the server runs."""
    threading.excepthook = _end
    health, disk = Health(), Disk()
    for work in (health.ask_on, lambda: answer_on(health)):
        threading.Thread(target=work, daemon=True).start()
    while True:
        disk.look()
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
