"""What all commands share: how they end, what they show of a document, and common arguments."""

import argparse
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from cliff.columns import FormattableColumn
from osc_lib.command import command

from control_plane.cli.client import Client
from control_plane.cli.exits import Stop, lines_of, of_problem
from control_plane.cli.terminal import AT_END, CURRENT, Options, cell_of, locale_of
from control_plane.kit.errors import Problem
from control_plane.osc.plugin import API_NAME

Row = tuple[Any, ...]
LONGEST_S = 900


class Spoken(command.Command):
    """Ends as `edubba` ends: with a sentence on standard error and one of its exit codes."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; `--debug` shows where it stopped, too."""
        tokens = CURRENT.set(Options(locale=locale_of())), AT_END.set(ExitStack())
        try:
            with AT_END.get():
                return super().run(parsed_args)
        except Stop as stop:
            return self._tell(stop)
        except Problem as problem:  # found here, before anything was sent
            return self._tell(of_problem(problem))
        finally:
            CURRENT.reset(tokens[0])
            AT_END.reset(tokens[1])

    @property
    def client(self) -> Client:
        """Return the platform's API."""
        client: Client = getattr(self.app.client_manager, API_NAME)
        return client

    def _tell(self, stop: Stop) -> int:
        self.log.error("\n".join(lines_of(stop)), exc_info=self.app.options.debug)
        return int(stop.code)


class Lister(Spoken, command.Lister):
    """A table of documents."""


class ShowOne(Spoken, command.ShowOne):
    """One document."""


class Part(FormattableColumn[Any]):
    """A part of a document: itself for programs, a line for people."""

    def human_readable(self) -> str:
        """Return it as `edubba` shows it."""
        if isinstance(self._value, dict):
            return ", ".join(f"{name}={cell_of(part)}" for name, part in self._value.items())
        return cell_of(self._value)

    def machine_readable(self) -> Any:
        """Return it as the API told it."""
        return self._value


def table(
    columns: dict[str, str], items: Iterable[dict[str, Any]]
) -> tuple[tuple[str, ...], list[Row]]:
    """Return a table of documents: a title and a field for each column."""
    fields = columns.values()
    return tuple(columns), [tuple(Part(item[field]) for field in fields) for item in items]


def facts(document: dict[str, Any], names: Sequence[str]) -> tuple[tuple[str, ...], Row]:
    """Return what is shown of one document: the fields of these names that it has."""
    shown = tuple(name for name in names if name in document)
    return shown, tuple(Part(document[name]) for name in shown)


def take_agency(parser: argparse.ArgumentParser, words: str) -> None:
    """Let a command be told an agency."""
    parser.add_argument("--agency", metavar="<agency>", default="", help=words)


def take_hosting(parser: argparse.ArgumentParser) -> None:
    """Let a command be told a hosting."""
    parser.add_argument("hosting", metavar="<hosting>", help="Name, agency:name, or ID")
    take_agency(parser, "Agency of a hosting that is named (default: your only one)")


def take_limit(parser: argparse.ArgumentParser) -> None:
    """Let a command be told how many items to list."""
    parser.add_argument(
        "--limit", metavar="<num-items>", type=int, default=100, help="How many at most"
    )


def take_reason(parser: argparse.ArgumentParser, *, is_needed: bool = False) -> None:
    """Let a command be told why; the platform keeps it for ever."""
    parser.add_argument(
        "--reason", metavar="<text>", required=is_needed, default="", help="Why; it is kept"
    )


def take_wait(parser: argparse.ArgumentParser, longest_s: int = LONGEST_S) -> None:
    """Let a command be told to wait, and for how long."""
    parser.add_argument("--wait", action="store_true", help="Wait and tell the story")
    parser.add_argument(
        "--timeout", metavar="<seconds>", type=int, default=longest_s, help="How long to wait"
    )
