"""What a run tells: ansible-runner's events become few, short and clean ones of our own.

The events come from a process that read what a tenant wrote, so no field is believed to be there,
to be of its type, or to be short.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from control_plane.kit import clock
from control_plane.kit.cleaning import Redaction, clean
from control_plane.ports.automation.cleaning import clean_result
from control_plane.ports.automation.port import (
    EVENTS_MAX,
    OUTPUT_MAX,
    TEXT_MAX,
    Counts,
    EventKind,
    RunEvent,
)

BYTES_MAX = 32 << 20  # of a run's whole output; an honest one writes some 50 kB
_TEXTS_MAX = 256 * 1024  # characters that one run's events may keep together
_NAME_MAX = 200
_RESULTS = {
    "runner_on_failed": EventKind.FAILED,
    "runner_on_unreachable": EventKind.UNREACHABLE,
    "runner_on_skipped": EventKind.SKIPPED,
}
_NOTICES = {"warning", "error", "system_warning"}
_COUNTED = {"ok": "ok", "changed": "changed", "failures": "failed", "dark": "unreachable"}
_SAID = ("msg", "reason", "stderr", "module_stderr", "stdout", "module_stdout")


class Timeline:
    """The events of one run, its counts, its result, and why it failed."""

    def __init__(self, hide: Redaction) -> None:
        self.hide = hide
        self._texts_left = _TEXTS_MAX
        self.events: list[RunEvent] = []
        self.counts = Counts()
        self.result: dict[str, Any] = {}
        self.reason = ""
        self.output = ""
        self.bytes_seen = 0

    @property
    def is_endless(self) -> bool:
        """Whether more was written than any honest run writes."""
        return self.bytes_seen > BYTES_MAX

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one of ansible-runner's events."""
        name, shown = event.get("event"), _text(event.get("stdout"))
        self.bytes_seen += len(shown)
        data = event.get("event_data")
        data = data if isinstance(data, dict) else {}
        if name == "playbook_on_task_start":
            self.add(EventKind.TASK, data)
        elif name == "runner_on_ok":
            result = _mapping(data.get("res"))
            is_changed = result.get("changed") is True
            self.add(EventKind.CHANGED if is_changed else EventKind.OK, data)
        elif name in _RESULTS:
            self._take_trouble(_RESULTS[name], data, shown)
        elif name == "playbook_on_stats":
            self._take_stats(data)
        elif name in _NOTICES:
            self._take_notice(str(name), shown)

    def add(self, kind: EventKind, data: Mapping[str, Any], text: str = "") -> None:
        """Add an event; the last one that fits says that more came."""
        number = len(self.events) + 1
        if number > EVENTS_MAX:
            return
        if number == EVENTS_MAX:
            kind, data, text = EventKind.NOTICE, {}, "more events are not shown"
        cleaned = self._clean(text, min(TEXT_MAX, self._texts_left))
        self._texts_left -= len(cleaned)
        task = self._clean(_text(data.get("task")), _NAME_MAX)
        server = self._clean(_text(data.get("host")), _NAME_MAX)
        self.events.append(RunEvent(number, clock.now(), kind, task, server, cleaned))

    def _clean(self, text: str, most: int) -> str:
        return clean(text, most, self.hide) if most > 0 else ""

    def _take_trouble(self, kind: EventKind, data: Mapping[str, Any], shown: str) -> None:
        is_ignored = data.get("ignore_errors") is True
        # A result that was too large is not in its event; what Ansible printed of it is.
        said = "" if kind is EventKind.SKIPPED else _said(_mapping(data.get("res"))) or shown
        self.add(kind, data, said)
        if kind is not EventKind.SKIPPED and not is_ignored:
            self.reason = "unreachable" if kind is EventKind.UNREACHABLE else "task_failed"
            self._say(f"{_text(data.get('task'))}: {said}")

    def _take_notice(self, name: str, shown: str) -> None:
        self.add(EventKind.NOTICE, {}, shown)
        if name == "error":
            self.reason = self.reason or "playbook_broken"
            self._say(shown)

    def _say(self, text: str) -> None:
        cleaned = self._clean(text, OUTPUT_MAX)
        self.output = f"{self.output}\n{cleaned}".strip()[-OUTPUT_MAX:]

    def _take_stats(self, data: Mapping[str, Any]) -> None:
        sums = {ours: _sum(data.get(theirs)) for theirs, ours in _COUNTED.items()}
        self.counts = replace(self.counts, **sums)
        declared = data.get("artifact_data")
        if declared:
            found = clean_result(declared, self.hide)
            if found is None:
                self.reason = "result_unusable"
            self.result = found or {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sum(value: object) -> int:
    counted = _mapping(value).values()
    return sum(one for one in counted if isinstance(one, int) and not isinstance(one, bool))


def _said(result: Mapping[str, Any]) -> str:
    """Return what a failed task said, the most telling first, also of a loop's items."""
    items = result.get("results")
    found = [_text(result.get(key)) for key in _SAID]
    if isinstance(items, list):
        failed = (_mapping(item) for item in items[:100])
        found += [_text(item.get("msg")) for item in failed if item.get("failed") is True]
    distinct = dict.fromkeys(text.strip() for text in found if text.strip())
    return "\n".join(distinct)
