"""The time, as one mechanism that tests can shift; always aware UTC.

On PostgreSQL leases and due times are decided by the server's clock (`db.Database.now`), on
SQLite by this one; both carry the same offset.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

_OFFSET: ContextVar[timedelta] = ContextVar("clock_offset", default=timedelta())


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC) + offset()  # noqa: TID251  # the one place that may ask the system


def offset() -> timedelta:
    """Return how far this context's time is shifted."""
    return _OFFSET.get()


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Let everything in this context believe that it is later (or, negative, earlier)."""
    token = _OFFSET.set(offset() + by)
    try:
        yield
    finally:
        _OFFSET.reset(token)
