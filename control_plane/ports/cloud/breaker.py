"""A breaker: what has not answered some times in a row is asked again only now and then.

Each question to an API that is away costs a time-out, and the thread that waits for it. While the
breaker is open questions fail at once, but for one a pause, which tries whether it is back.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from control_plane.kit.errors import Unavailable

FAILURES = 3  # in a row, without an answer between them
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0


class Away(Unavailable):
    """An API that can't be reached, or says nothing: no answer at all, which a refusal is."""


class Breaker:
    """Stands before all questions to one API. Safe to use from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._next_try = 0.0
        self._last: Away | None = None

    @property
    def is_open(self) -> bool:
        """Whether questions fail at once."""
        return self._failures >= FAILURES

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Wrap a question. Raises Away where it is not asked; counts those that it raises."""
        self._admit()
        try:
            yield
        except Away as error:
            self._count(error)
            raise
        except BaseException:
            self._close()  # whatever it is, it is an answer
            raise
        self._close()

    def _admit(self) -> None:
        with self._lock:
            if not self.is_open or self._last is None:
                return
            if time.monotonic() >= self._next_try:
                self._next_try = time.monotonic() + self._pause_s  # this one tries, no other
                return
            raise Away(self._last.code, **self._last.facts)

    def _count(self, error: Away) -> None:
        with self._lock:
            self._failures += 1
            self._last = error
            if self.is_open:
                self._next_try = time.monotonic() + self._pause_s
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _close(self) -> None:
        with self._lock:
            self._failures, self._pause_s, self._last = 0, FIRST_PAUSE_S, None
