"""`edubba`: the command line of agencies, pipelines and operators.

Only the module of the command that is asked for is imported, so that it starts quickly.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer

from control_plane.cli.exits import EXPLAINED, Code, Stop, lines_of, of_problem
from control_plane.cli.terminal import (
    AT_END,
    CURRENT,
    Options,
    answer,
    locale_of,
    note,
    options,
    tr,
)
from control_plane.kit.errors import Problem

PACKAGE = "control_plane.cli"
LOCALES = ("ar", "en")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is: its module, the name in it, and what it does in one line."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "login": Entry("account", "login", "Log in, and keep the token of the session."),
    "logout": Entry("account", "logout", "Put the session's token out of force and forget it."),
    "whoami": Entry("account", "whoami", "Show who one is, with one's roles."),
    "token": Entry("tokens", "group", "Tokens for pipelines: create, list, revoke."),
    "request": Entry("requests", "group", "Ask for hosting, and decide on requests."),
    "hosting": Entry("hostings", "group", "What is hosted: list, show, end."),
    "deploy": Entry("deploy", "deploy", "Upload a folder and put it live."),
    "deployment": Entry("deployments", "group", "What was deployed to a hosting: list, show."),
    "setting": Entry("settings", "group", "An application's variables: list, set, unset."),
    "attachment": Entry(
        "attachments", "group", "Which application reaches which database: create, list, end."
    ),
    "run": Entry("runs", "group", "How a server was configured: list, show."),
    "log": Entry("logs", "group", "What an application wrote: show."),
    "rollback": Entry("deployments", "rollback", "Go back to a deployment that was live."),
    "plan": Entry("wishes", "plan", "Say what a tenant.yml would ask for."),
    "apply": Entry("wishes", "apply", "Ask for what a tenant.yml declares and isn't there."),
    "blueprint": Entry("blueprints", "group", "The kinds of hosting on offer: list, show."),
    "agency": Entry("agencies", "group", "Agencies, their quotas and budgets."),
    "region": Entry("regions", "group", "The clouds that hostings are in: list, open, close."),
    "ledger": Entry("ledger", "group", "The ledger: verify, export, receipts, checkpoints."),
    "operations": Entry(
        "operations", "group", "What stopped or is late: list, retry, abandon, pause, resume."
    ),
    "doctor": Entry("doctor", "doctor", "Say what is wrong with this machine and how to mend it."),
    "setup": Entry("setup", "group", "As root, on the machine itself: accounts to begin with."),
}
_MISUSES = {  # by the name of typer's exception, which says it in English alone
    "NoSuchOption": "There is no option {option}",
    "MissingParameter": "{parameter} is missing",
    "BadParameter": "{parameter} can't be used: {why}",
}
_MISUSE = "It can't be used so: {why}"


def app(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    said, rest = hoist(list(sys.argv[1:] if arguments is None else arguments))
    with ExitStack() as at_end:
        tokens = CURRENT.set(said), AT_END.set(at_end)
        try:
            return _end_of(rest)
        finally:
            CURRENT.reset(tokens[0])
            AT_END.reset(tokens[1])


def _end_of(arguments: list[str]) -> int:
    try:
        return _run(arguments)
    except Stop as stop:
        return _tell(stop)
    except Problem as problem:  # found here, before anything was sent
        return _tell(of_problem(problem))
    except KeyboardInterrupt:
        note(tr("Interrupted; what was asked for before goes on."))
        return 130


def hoist(arguments: list[str]) -> tuple[Options, list[str]]:
    """Take the options that every command has from wherever they stand. Raises: Stop."""
    known: dict[str, Any] = {"locale": locale_of()}
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, _, value = argument.partition("=")
        if argument == "--":
            return Options(**known), [*rest, argument, *waiting]
        if argument == "--json":
            known["as_json"] = True
        elif name in {"--locale", "--url"}:
            known[name.removeprefix("--")] = value or next(waiting, "")
        else:
            rest.append(argument)
    if known["locale"] not in LOCALES:
        known["locale"] = "en"
    return Options(**known), rest


def command_tree(wanted: str) -> typer.Typer:
    """Return all commands by name, of which only the wanted one is imported."""
    root = typer.Typer(name="edubba", add_completion=False, no_args_is_help=True, epilog=_epilog())
    root.callback(help=tr("Hosting for official institutions: ask, deploy, watch, verify."))(_root)
    for name, entry in COMMANDS.items():
        if name != wanted:
            root.command(name, help=tr(entry.summary))(_elsewhere)
            continue
        found = getattr(import_module(f"{PACKAGE}.{entry.module}"), entry.attribute)
        if isinstance(found, typer.Typer):
            root.add_typer(found, name=name, help=tr(entry.summary))
        else:
            root.command(name)(found)
    return root


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(command_tree(arguments[0] if arguments else ""))
    if options().locale != "en":
        from control_plane.cli.helping import put_into_words

        put_into_words(command)
    try:
        code = command.main(arguments or ["--help"], prog_name="edubba", standalone_mode=False)
    except typer.Abort:
        note(tr("Stopped."))
        return int(Code.FAILED)
    except typer.TyperException as error:
        raise Stop(Code(error.exit_code), "usage", _misuse(error), _hint()) from error
    return code if isinstance(code, int) else int(Code.OK)


def _misuse(error: typer.TyperException) -> str:
    if options().locale == "en":
        return error.format_message()
    message = _MISUSES.get(type(error).__name__, _MISUSE)
    parameter = getattr(error, "param", None)
    known = {
        "option": getattr(error, "option_name", ""),
        "parameter": parameter.get_error_hint() if parameter else "",
        "why": error.message,
    }
    return tr(message, **known)


def _root(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
    locale: Annotated[str, typer.Option("--locale", help="ar or en; else by LANG.")] = "",
    url: Annotated[str, typer.Option("--url", help="The platform; else EDUBBA_URL.")] = "",
) -> None:
    # They may stand anywhere and were taken by `hoist`; here they are only documented.
    del as_json, locale, url


def _elsewhere() -> None:
    """Stand for a command that was not asked for."""


def _epilog() -> str:
    codes = " · ".join(f"{int(code)} {tr(words)}" for code, words in EXPLAINED.items())
    return tr("Exit codes: {codes}.", codes=codes)


def _hint() -> str:
    return tr("`edubba --help` and `edubba COMMAND --help` say how.")


def _tell(stop: Stop) -> int:
    note("✗ " + "\n".join(lines_of(stop)))
    answer(stop.document(), show=_nothing)
    return int(stop.code)


def _nothing() -> None:
    """Say nothing more on standard output."""


if __name__ == "__main__":
    sys.exit(app())
