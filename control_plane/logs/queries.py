"""Every SELECT of what hostings wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from control_plane.kit import clock
from control_plane.kit.pagination import CursorInvalid, Page, decode_cursor, page_of
from control_plane.logs.models import LogLine, LogStore
from control_plane.logs.rules import KEPT_BYTES, KEPT_FOR


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose lines, and of which of its services; "" is all."""

    hosting_id: str
    service: str = ""


def find_store(session: Session, hosting_id: str) -> LogStore | None:
    """Return what is known of a hosting's log."""
    return session.get(LogStore, hosting_id)


def find_collected_at(session: Session, hosting_id: str) -> datetime | None:
    """Return when the hosting's log was looked at last."""
    store = find_store(session, hosting_id)
    return store.collected_at if store is not None else None


def list_lines(session: Session, wanted: Wanted, cursor: str | None, limit: int) -> Page[LogLine]:
    """Return lines, the newest first."""
    query = _lines_of(wanted)
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(LogLine.number) < _number(before))
    rows = session.exec(query.order_by(col(LogLine.number).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda line: str(line.number))


def list_lines_after(
    session: Session, wanted: Wanted, number: int, limit: int
) -> Sequence[LogLine]:
    """Return the first lines that came after the one of this number, in their order."""
    query = _lines_of(wanted).where(col(LogLine.number) > number)
    return session.exec(query.order_by(col(LogLine.number)).limit(limit)).all()


def find_last_to_forget(session: Session, hosting_id: str) -> int | None:
    """Return the number of the newest line for which there is no room any more."""
    total = func.sum(col(LogLine.size)).over(order_by=col(LogLine.number).desc())
    sums = select(col(LogLine.number), total.label("total"))
    found = sums.where(col(LogLine.hosting_id) == hosting_id).subquery()
    query = select(func.max(found.c.number)).where(found.c.total > KEPT_BYTES)
    last: int | None = session.exec(query).one()
    return last


def sum_sizes(session: Session, hosting_id: str) -> int:
    """Return how much the lines of a hosting take."""
    query = select(func.sum(LogLine.size)).where(col(LogLine.hosting_id) == hosting_id)
    return int(session.exec(query).one() or 0)


def _lines_of(wanted: Wanted) -> SelectOfScalar[LogLine]:
    query = select(LogLine).where(
        col(LogLine.hosting_id) == wanted.hosting_id,
        col(LogLine.at) >= clock.now() - KEPT_FOR,  # also where nobody has looked since
    )
    return query.where(col(LogLine.service) == wanted.service) if wanted.service else query


def _number(key: str) -> int:
    if not key.isascii() or not key.isdecimal() or len(key) > len(str(1 << 62)):
        raise CursorInvalid
    return int(key)
