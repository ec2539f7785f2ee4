"""Keyset pages: a cursor is the last row's sort key, so that pages stay right while rows come."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from control_plane.kit.errors import Problem

Row = TypeVar("Row")
DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class CursorInvalid(Problem):
    """The cursor is not one that a page of this list ended with."""

    code = "cursor_invalid"
    status = 400
    title = "This page marker isn't valid"
    mend = "Start again at the first page, without a cursor."


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that continues behind them (`None` at the end)."""

    items: Sequence[Row]
    next_cursor: str | None


def page_of(rows: Sequence[Row], limit: int, key: Callable[[Row], str]) -> Page[Row]:
    """Cut `limit + 1` fetched rows to a page; `key` gives the sort key of a row."""
    if len(rows) <= limit:
        return Page(rows, None)
    kept = rows[:limit]
    return Page(kept, encode_cursor(key(kept[-1])))


def encode_cursor(key: str) -> str:
    """Return the opaque form of a sort key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """Return the sort key that a cursor holds. Raises CursorInvalid."""
    if cursor is None:
        return None
    padding = "=" * (-len(cursor) % 4)
    try:
        key = base64.b64decode(cursor + padding, altchars=b"-_", validate=True).decode()
    except ValueError as error:  # not base 64, not ASCII, or not UTF-8 inside
        raise CursorInvalid from error
    if not key.isprintable():
        raise CursorInvalid
    return key
