"""What many commands ask for: the agency and the hosting that are meant."""

import os
from typing import Annotated, Any

import typer

from control_plane.cli.client import Client
from control_plane.cli.exits import Code, Stop
from control_plane.cli.terminal import tr

AgencyOption = Annotated[
    str,
    typer.Option("--agency", "-a", help="Its short name; else EDUBBA_AGENCY, or your only one."),
]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept for ever.")]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait and tell the story.")]
TimeoutOption = Annotated[int, typer.Option("--timeout", min=1, help="How many seconds to wait.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")]
HostingArgument = Annotated[
    str, typer.Argument(metavar="HOSTING", help="Its name, `agency:name`, or id.")
]


def chosen_agency(client: Client, given: str) -> str:
    """Return the agency's short name. Raises: Stop where it isn't clear which is meant."""
    said = given or os.environ.get("EDUBBA_AGENCY", "")
    if said:
        return said
    own = [agency["slug"] for agency in client.get("/v1/me")["agencies"]]
    if len(own) == 1:
        return str(own[0])
    raise Stop(
        Code.USAGE,
        "agency_missing",
        tr("Which agency is meant?"),
        tr("Say it with --agency: {agencies}.", agencies=", ".join(own) or "–"),
    )


def reference_of(client: Client, hosting: str, agency: str = "") -> str:
    """Return what the API calls a hosting: its id, or `agency:name`."""
    if hosting.startswith("hst_") or ":" in hosting:
        return hosting
    return f"{chosen_agency(client, agency)}:{hosting}"


def get_hosting(client: Client, hosting: str, agency: str = "") -> dict[str, Any]:
    """Return a hosting by name or id."""
    found: dict[str, Any] = client.get(f"/v1/hostings/{reference_of(client, hosting, agency)}")
    return found


def pairs(said: list[str] | None) -> list[tuple[str, str]]:
    """Read `name=value`, each. Raises: Stop."""
    found = []
    for one in said or ():
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise Stop(Code.USAGE, "pair_invalid", tr("{said} is not name=value", said=one))
        found.append((key, value))
    return found


def value_of(text: str) -> str | int | bool | list[str]:
    """Return the value that a word on the command line stands for; `[a, b]` is a list."""
    if text.startswith("[") and text.endswith("]"):
        return [entry.strip() for entry in text[1:-1].split(",") if entry.strip()]
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.isascii() and text.isdecimal() and not text.startswith("0") else text
