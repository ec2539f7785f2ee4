"""What a server tells of its logs, believed in nothing: pure, bounded, tolerant."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from control_plane.ports.cloud.port import LOG_BYTES_MAX, LOG_LINE_MAX, LogFact, LogLine

_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SERVICES_MAX = 64
_MARK_MAX = 64
_LOST_MAX = 1 << 50  # more than any disk holds
_LINE_FIELDS = 4
_MICROSECONDS = len("2026-01-01 00:00:00.000000")


def parsed(found: Mapping[str, Any]) -> LogFact:
    """Return what an answer of the receiver says; what is none of it is left out."""
    marks = [(name, mark) for name, mark in _named(found.get("marks")) if isinstance(mark, str)]
    lost = [(name, count) for name, count in _named(found.get("lost")) if isinstance(count, int)]
    return LogFact(
        list(_bounded(_lines(found.get("lines")))),
        {name: mark for name, mark in marks if len(mark) <= _MARK_MAX},
        {name: count for name, count in lost if 0 < count < _LOST_MAX},
    )


def _named(value: object) -> list[tuple[str, object]]:
    items = list(value.items())[:_SERVICES_MAX] if isinstance(value, dict) else []
    return [(name, item) for name, item in items if _SERVICE.fullmatch(name)]


def _lines(value: object) -> Iterator[LogLine]:
    for item in value if isinstance(value, list) else []:
        if not isinstance(item, list) or len(item) != _LINE_FIELDS:
            continue
        service, at, text, is_cut = item
        if not all(isinstance(field, str) for field in (service, at, text)):
            continue
        if _SERVICE.fullmatch(service):
            shown = text[:LOG_LINE_MAX]
            yield LogLine(service, _moment(at), shown, is_cut is True or len(shown) < len(text))


def _bounded(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    left = LOG_BYTES_MAX
    for line in lines:
        left -= len(line.text) + _MICROSECONDS
        if left < 0:
            return
        yield line


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:_MICROSECONDS], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
