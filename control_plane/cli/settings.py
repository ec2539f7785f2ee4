"""`edubba setting`: the environment of an application, open values and secrets."""

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from control_plane.cli.choices import (
    AgencyOption,
    HostingArgument,
    TimeoutOption,
    WaitOption,
    pairs,
    reference_of,
)
from control_plane.cli.client import Client, connect
from control_plane.cli.exits import Code, Stop
from control_plane.cli.following import follow_wish
from control_plane.cli.terminal import answer, rows, say, tr

group = typer.Typer(no_args_is_help=True)
LONGEST_S = 300


@group.command("list")
def list_settings(hosting: HostingArgument, agency: AgencyOption = "") -> None:
    """List what is set for a hosting; of secrets only that they are there."""
    client = connect()
    found = client.get(_path(client, hosting, agency))
    answer(found, lambda: _show(found))


@group.command("set")
def set_settings(
    hosting: HostingArgument,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="What everybody may see; NAME=@FILE takes it from a file.",
        ),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="NAME",
            help="Asked for, or read from a pipe; NAME=@FILE takes it from a file. Never shown.",
        ),
    ] = None,
    agency: AgencyOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = LONGEST_S,
) -> None:
    """Set variables; those that are not named stay. One line break at the end is left away.

    An application that runs gets them at once, without a lost request.
    """
    settings = {name: _open_value(value) for name, value in pairs(values)}
    secrets = _secrets(secret or [])
    if not settings and not secrets:
        raise Stop(
            Code.USAGE,
            "setting_missing",
            tr("There is nothing to set"),
            tr("Say NAME=value, or --secret NAME."),
        )
    if both := sorted(set(settings) & set(secrets)):
        title = tr("{name} can't be open and secret at once", name=both[0])
        raise Stop(Code.USAGE, "setting_doubled", title)
    _change(hosting, agency, {"settings": settings, "secrets": secrets}, timeout if wait else None)


@group.command()
def unset(
    hosting: HostingArgument,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Which, open or secret.")],
    agency: AgencyOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = LONGEST_S,
) -> None:
    """Remove variables, secrets as well; one that isn't there is no mistake."""
    gone = dict.fromkeys(names)
    _change(hosting, agency, {"settings": gone, "secrets": {}}, timeout if wait else None)


def _change(hosting: str, agency: str, wish: dict[str, Any], timeout_s: int | None) -> None:
    client = connect()
    path = _path(client, hosting, agency)
    changed = client.send("PATCH", path, json=wish).json()
    if timeout_s is not None:
        follow_wish(client, path.removesuffix("/settings"), changed["generation"], timeout_s)
    answer(changed, lambda: _show(changed))


def _path(client: Client, hosting: str, agency: str) -> str:
    return f"/v1/hostings/{reference_of(client, hosting, agency)}/settings"


def _show(settings: dict[str, Any]) -> None:
    if not settings["items"]:
        say(tr("Nothing is set."))
        return
    hidden = tr("secret")
    cells = [
        [one["name"], hidden if one["is_secret"] else one["value"], one["changed_at"]]
        for one in settings["items"]
    ]
    rows(("Name", "Value", "Changed"), cells)


def _open_value(said: str) -> str:
    return _read_file(said[1:]) if said.startswith("@") else said


def _secrets(said: list[str]) -> dict[str, str]:
    """Return secrets by their names. Raises: Stop for one that stands on the command line."""
    found: dict[str, str] = {}
    asked: list[str] = []
    for one in said:
        name, equals, source = one.partition("=")
        if not equals:
            asked.append(name)
        elif source.startswith("@"):
            found[name] = _read_file(source[1:])
        else:
            raise Stop(
                Code.USAGE,
                "secret_on_command_line",
                tr("A secret is not written on the command line, where others can read it"),
                tr("Say --secret {name} alone and type or pipe it, or {name}=@FILE.", name=name),
            )
    return found | _asked_for(asked)


def _asked_for(names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    if sys.stdin.isatty():
        return {name: getpass.getpass(f"{name}: ") for name in names}
    if len(names) > 1:
        raise Stop(
            Code.USAGE,
            "secrets_piped",
            tr("Only one secret can come through a pipe"),
            tr("Give the others as --secret NAME=@FILE."),
        )
    return {names[0]: _read("-", sys.stdin.buffer.read)}


def _read_file(file: str) -> str:
    return _read(file, Path(file).read_bytes)


def _read(name: str, read: Callable[[], bytes]) -> str:
    """Return a text. What is said of one that can't be read tells nothing of what is in it."""
    try:
        return _without_break(read().decode())
    except OSError as error:
        why = error.strerror or ""
    except UnicodeDecodeError:
        why = tr("It is no text in UTF-8.")
    raise Stop(Code.USAGE, "file_unreadable", tr("{file} can't be read", file=name), why)


def _without_break(text: str) -> str:
    """Return a text without the line break that editors and `echo` put at its end."""
    return text.removesuffix("\n").removesuffix("\r")
