"""`edubba login | logout | whoami`: the session of a person."""

import getpass
import os
import sys
from typing import Annotated

import typer

from control_plane.cli import credentials
from control_plane.cli.client import connect
from control_plane.cli.exits import Code, Stop
from control_plane.cli.terminal import answer, facts, say, tr


def login(
    email: Annotated[str, typer.Option("--email", "-e", help="The address of your account.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Log in, and keep the token of the session for twelve hours."""
    client = connect(with_token=False)
    who = email or os.environ.get("EDUBBA_EMAIL") or _ask_email()
    wish = {"email": who, "password": read_password(is_piped=password_stdin)}
    session = client.send("POST", "/v1/login", json=wish).json()
    credentials.keep_token(client.url, session["token"], who, session["expires_at"])
    from control_plane.cli.checkpoints import note_checkpoint

    note_checkpoint(client)
    shown = {"url": client.url, "person": session["person"], "expires_at": session["expires_at"]}
    answer(shown, lambda: say(tr("Logged in at {url} as {name}.", url=client.url, name=who)))


def logout() -> None:
    """Put the session's token out of force and forget it."""
    client = connect()
    try:
        client.send("POST", "/v1/logout")
    except Stop as stop:
        if stop.code != Code.NOT_AUTHENTICATED:
            raise
    credentials.forget_token(client.url)
    answer({"url": client.url}, lambda: say(tr("Logged out.")))


def whoami() -> None:
    """Show who one is, with one's roles."""
    me = connect().get("/v1/me")

    def show() -> None:
        roles = [f"{agency['slug']}: {', '.join(agency['roles'])}" for agency in me["agencies"]]
        facts(
            [
                ("Name", me["name"]),
                ("E-mail", me["email"]),
                ("Data centre", ", ".join(me["centre_roles"])),
                ("Agencies", roles),
                ("Scopes", me["scopes"]),
            ]
        )

    answer(me, show)


def read_password(*, is_piped: bool, is_new: bool = False) -> str:
    """Return a password from standard input or the terminal, never from an argument.

    One that is new is asked for twice. Raises: Stop without a terminal to ask at.
    """
    if is_piped:
        return sys.stdin.readline().rstrip("\r\n")
    if not is_new and (password := os.environ.get("EDUBBA_PASSWORD")):
        return password
    if not sys.stdin.isatty():
        raise Stop(
            Code.USAGE,
            "password_missing",
            tr("There is no terminal to ask for the password"),
            tr("Give it on standard input with --password-stdin."),
        )
    password = getpass.getpass(f"{tr('Password')}: ")
    if is_new and getpass.getpass(f"{tr('Password, once more')}: ") != password:
        raise Stop(Code.USAGE, "passwords_differ", tr("The two passwords differ"))
    return password


def _ask_email() -> str:
    if not sys.stdin.isatty():
        raise Stop(Code.USAGE, "email_missing", tr("Say who you are with --email"))
    return input(f"{tr('E-mail')}: ").strip()
