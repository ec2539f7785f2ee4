"""What a server runs, written out in full: services with all they default to, times as numbers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

DEFAULTS: Mapping[str, Any] = {
    "directory": "/",
    "environment": {},
    "uses_environment": False,
    "files": [],
    "on_change": "restart",
    "reload_signal": "HUP",
    "stop_signal": "TERM",
    "stop_timeout_s": 10,
    "starts": "always",
    "goes_first": False,
    "times": None,
}
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
LIVE = "/srv/site/live/tree"
FIELDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "weekday": (0, 7),
}
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")


def parse_times(text: str) -> dict[str, list[int] | None]:
    """Return the moments of five cron fields: numbers, or None where every one is meant.

    >>> parse_times("*/30 6 * * 1-3")["minute"]
    [0, 30]
    """
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise AnsibleFilterError(f"{text!r} is not five fields: minute hour day month weekday")
    times = {
        name: _numbers(field, least, most)
        for field, (name, (least, most)) in zip(fields, FIELDS.items(), strict=True)
    }
    if times["day"] and times["weekday"]:
        raise AnsibleFilterError(f"{text!r} names days of the month and of the week: choose one")
    if times["weekday"]:  # Sunday is 0 and 7
        times["weekday"] = sorted({day % 7 for day in times["weekday"]})
    return times


def _numbers(field: str, least: int, most: int) -> list[int] | None:
    if field == "*":
        return None
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise AnsibleFilterError(f"{part!r} is no number, range, * or step of cron")
        first, last, step = match.groups()
        start = least if first is None else int(first)
        is_open = first is None or (step is not None and last is None)
        end = most if is_open else int(last or start)
        if not least <= start <= end <= most or step in {"0", "00"}:
            raise AnsibleFilterError(f"{part!r} is not within {least} and {most}")
        found.update(range(start, end + 1, int(step or 1)))
    return sorted(found)


def declarations(
    services: Sequence[Mapping[str, Any]],
    schedules: Sequence[Mapping[str, Any]] = (),
    time_zone: str = "UTC",
) -> dict[str, dict[str, Any]]:
    """Return what runs, by name."""
    found: dict[str, dict[str, Any]] = {}
    wished = [*services, *({**one, "times": parse_times(one["at"])} for one in schedules)]
    for wish in wished:
        name = str(wish["name"])
        unknown = set(wish) - {"name", "command", "at"} - set(DEFAULTS)
        if not NAME.fullmatch(name) or name in found or unknown:
            raise AnsibleFilterError(f"the service {name!r} can't be declared so: {unknown or ''}")
        chosen = {key: value for key, value in wish.items() if key not in {"name", "at"}}
        environment = {"TZ": time_zone, **chosen.get("environment", {})}
        found[name] = {**DEFAULTS, **chosen, "environment": environment}
    return found


def schedules(
    lines: Sequence[str], environment: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return what lines of a crontab run: five fields, and a command for the shell.

    It starts where the live release is, not where that was when the wait began.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        *fields, command = line.split(maxsplit=5)
        if len(fields) != len(FIELDS):
            raise AnsibleFilterError(f"{line!r} is not five fields of time and a command")
        found.append(
            {
                "name": f"schedule-{number}",
                "at": " ".join(fields),
                "command": ["/bin/sh", "-c", f"cd {LIVE} && {command}"],
                "environment": dict(environment or {}),
                "uses_environment": True,
                "goes_first": True,
            }
        )
    return found


def paths(wished: Sequence[str]) -> list[str]:
    """Return paths inside a release, each once and none within another."""
    found = sorted({path.strip().strip("/") for path in wished})
    for path in found:
        parts = path.split("/")
        if not PATH.fullmatch(path) or {".", ".."} & set(parts):
            raise AnsibleFilterError(f"{path!r} is no path inside a release")
        if any("/".join(parts[:length]) in found for length in range(1, len(parts))):
            raise AnsibleFilterError(f"{path!r} lies within another path that stays")
    return found


def calendar(times: Mapping[str, list[int] | None]) -> str:
    """Return moments as systemd's OnCalendar= takes them."""
    days = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
    said = {
        name: "*" if numbers is None else ",".join(f"{number:02d}" for number in numbers)
        for name, numbers in times.items()
    }
    weekdays = ",".join(days[day] for day in times["weekday"] or ())
    date = f"*-{said['month']}-{said['day']} {said['hour']}:{said['minute']}:00"
    return f"{weekdays} {date}".strip()


class FilterModule:
    """What roles say of a server, checked and written out."""

    def filters(self) -> dict[str, Any]:
        """Return them by name."""
        return {
            "edubba_calendar": calendar,
            "edubba_declarations": declarations,
            "edubba_paths": paths,
            "edubba_schedules": schedules,
        }
