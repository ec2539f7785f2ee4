"""What a command says: one JSON document on standard output, or words; all else on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 10_000  # characters: more than a line of a table ever has
_LANGUAGES = ("LC_ALL", "LC_MESSAGES", "LANG")  # by the order of locale(7)


@dataclass(frozen=True, slots=True)
class Options:
    """What may be said with every command."""

    as_json: bool = False
    locale: str = "en"
    url: str | None = None


CURRENT: ContextVar[Options] = ContextVar("cli_options")
AT_END: ContextVar[ExitStack] = ContextVar("cli_at_end")  # what a command opened


def options() -> Options:
    """Return the options of the command that runs."""
    return CURRENT.get(Options())


def locale_of(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language of a person's terminal; a C locale can't show Arabic."""
    value = next((environment[name] for name in _LANGUAGES if environment.get(name)), "")
    return "ar" if value.split("_")[0].split(".")[0] == "ar" else "en"


def tr(message: str, /, **facts: object) -> str:
    """Return a message in the reader's language, its placeholders filled."""
    locale = options().locale
    if locale == "en":
        return message.format_map(facts) if facts else message
    from control_plane.kit.text import translate  # the catalogue is read only where it is needed

    return translate(message, locale, **facts)


def words(fact: object) -> str:
    """Return a fact in the reader's language, if it is a text that has one."""
    from control_plane.kit.text import Phrase, translate

    if not isinstance(fact, Phrase):
        return str(fact)
    return translate(fact.message, options().locale, **fact.facts)


def answer(document: Any, show: Callable[[], None] | None = None) -> None:
    """Give the command's one answer: as JSON, or as `show` shows it to people."""
    if options().as_json or show is None:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        sys.stdout.flush()
    else:
        show()


def say(message: str) -> None:
    """Tell a person something that is part of the answer."""
    out().print(Text(message))


def note(message: str) -> None:
    """Tell a person something beside the answer, such as what is being done."""
    err().print(Text(message))


def rows(titles: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Show a table."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(tr(title), overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell_of(cell)) for cell in line))
    out().print(table)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Show what is known of one thing; what isn't known is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")  # a key that is cut off is none
    for title, value in pairs:
        if value not in (None, "", [], {}):
            grid.add_row(Text(tr(title), style="dim"), Text(cell_of(value)))
    out().print(grid)


def cell_of(value: object) -> str:
    """Return a value in words: a time in UTC to the second, nothing as a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, str) and len(value) > len("2026-01-01T") and value[10] == "T":
        return _time_of(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(cell_of(part) for part in value)
    return str(value)


def out() -> Console:
    """Return the console of standard output."""
    return _console(sys.stdout)


def err() -> Console:
    """Return the console of standard error."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    # Wide where nobody looks, so that a program that reads it finds whole ids.
    width = None if file.isatty() or os.environ.get("COLUMNS") else WIDE
    return Console(file=file, highlight=False, soft_wrap=not file.isatty(), width=width)


def _time_of(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
