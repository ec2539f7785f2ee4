"""Ringing for lives after a commit: lost rings are found by the sweep, so nothing waits on one.

Embedded, the web process rings the worker over a Unix datagram and the worker publishes to its
own in-memory broker; with a real broker everybody publishes there.
"""

import queue
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from sqlmodel import Session

from control_plane.engine.lives import rung_lives
from control_plane.kit.db import Database
from control_plane.kit.ids import is_id

MAX_DATAGRAM = 64  # one life's id
MAX_WAITING = 10_000  # rings; what comes while a broker is away for long is left to the sweep


class Bell(Protocol):
    """Never raises: a bell that can't ring is a bell that the sweep replaces."""

    def ring(self, life_ids: Iterable[str]) -> None:
        """Wake the worker for these lives."""


class SilentBell:
    """For processes without a worker to wake: the sweep finds the work."""

    def ring(self, life_ids: Iterable[str]) -> None:
        """Do nothing."""


class DatagramBell:
    """Rings a worker on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def ring(self, life_ids: Iterable[str]) -> None:
        """Send one datagram a life; a worker that is away or busy loses it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bell:
            for life_id in life_ids:
                with suppress(OSError):  # the sweep finds it
                    bell.sendto(life_id.encode(), self._path)


class BackgroundBell:
    """Rings another bell from a thread of its own: no request waits for a broker that is away."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._waiting: queue.Queue[frozenset[str]] = queue.Queue(MAX_WAITING)
        threading.Thread(target=self._ring_until_ended, name="bell", daemon=True).start()

    def ring(self, life_ids: Iterable[str]) -> None:
        """Hand the lives over to the thread."""
        rung = frozenset(life_ids)
        if rung:
            with suppress(queue.Full):  # the sweep finds them
                self._waiting.put_nowait(rung)

    def _ring_until_ended(self) -> None:
        while True:
            self._bell.ring(self._waiting.get())


def hear(path: Path, mode: int = 0o660) -> socket.socket:
    """Bind the worker's end, replacing what an earlier process left."""
    path.unlink(missing_ok=True)
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(path))
    path.chmod(mode)
    return ear


def heard_life(ear: socket.socket) -> str | None:
    """Wait for one ring; None if what came was no life's id or the socket's time-out passed."""
    try:
        text = ear.recv(MAX_DATAGRAM).decode("ascii", "replace")
    except TimeoutError:
        return None
    return text if is_id(text, "lif") else None


@contextmanager
def ringing(db: Database, bell: Bell) -> Iterator[Session]:
    """One write transaction that rings for the lives it woke, after it is committed."""
    with db.begin() as session:
        yield session
        rung = rung_lives(session)
    bell.ring(rung)
