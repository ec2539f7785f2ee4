"""What the worker writes of logs: what came is kept, and what is too much or too old forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert
from sqlmodel import Session, col

from control_plane.kit import clock
from control_plane.logs import queries
from control_plane.logs.models import LogLine, LogStore
from control_plane.logs.rules import KEPT_BYTES, KEPT_FOR, ROW_BYTES, moment_of


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to be kept, clean already; `lost` bytes before it are not."""

    service: str
    at: datetime | None
    text: str
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Collected:
    """What a look at a hosting's log gave."""

    hosting_id: str
    agency_id: str
    lines: Sequence[NewLine] = ()
    marks: Mapping[str, str] = field(default_factory=dict)


def keep(session: Session, collected: Collected) -> None:
    """Keep new lines, and in the same transaction forget as many old ones as are too many."""
    now = clock.now()
    store = queries.find_store(session, collected.hosting_id) or LogStore(
        hosting_id=collected.hosting_id, agency_id=collected.agency_id, collected_at=now, marks={}
    )
    rows: list[dict[str, Any]] = [
        {
            "hosting_id": collected.hosting_id,
            "number": number,
            "agency_id": collected.agency_id,
            "service": line.service,
            "at": moment_of(line.at, now),
            "text": line.text,
            "lost": line.lost,
            "size": len(line.text.encode()) + ROW_BYTES,
        }
        for number, line in enumerate(collected.lines, start=store.last_number + 1)
    ]
    if rows:
        session.connection().execute(insert(LogLine), rows)
    store.last_number += len(rows)
    store.size += sum(row["size"] for row in rows)
    store.marks, store.collected_at = dict(collected.marks), now
    session.add(store)
    session.flush()
    _forget_too_much(session, store)


def forget_old(session: Session, hosting_id: str) -> None:
    """Forget what is too old of a hosting from which nothing new comes."""
    store = queries.find_store(session, hosting_id)
    if store is not None:
        _forget_too_much(session, store)


def forget_all(session: Session, hosting_id: str) -> None:
    """Forget all that a hosting wrote."""
    for table in (LogLine, LogStore):
        session.connection().execute(delete(table).where(col(table.hosting_id) == hosting_id))


def _forget_too_much(session: Session, store: LogStore) -> None:
    lines = delete(LogLine).where(col(LogLine.hosting_id) == store.hosting_id)
    run = session.connection().execute
    forgotten = run(lines.where(col(LogLine.at) < clock.now() - KEPT_FOR)).rowcount
    if store.size > KEPT_BYTES:
        last = queries.find_last_to_forget(session, store.hosting_id)
        if last is not None:
            forgotten += run(lines.where(col(LogLine.number) <= last)).rowcount
    if forgotten:
        store.size = queries.sum_sizes(session, store.hosting_id)
        session.add(store)
