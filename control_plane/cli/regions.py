"""`edubba region`: the clouds that hostings are in, and which of them take new tenants."""

from typing import Annotated, Any

import typer

from control_plane.cli.client import connect
from control_plane.cli.terminal import answer, facts, rows, say, tr

group = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="REGION", help="Its name.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it.")]


@group.command("list")
def list_regions() -> None:
    """List the regions."""
    found = connect().get("/v1/regions")
    titles = ("Region", "Kind", "State", "Served", "Last seen")
    answer(found, lambda: rows(titles, map(_cells, found["items"])))


@group.command()
def show(region: NameArgument) -> None:
    """Show a region."""
    found = connect().get(f"/v1/regions/{region}")
    answer(found, lambda: _show(found))


@group.command("open")
def open_region(region: NameArgument, reason: ReasonOption) -> None:
    """Let new tenants into a region."""
    _decide(region, "open", reason)


@group.command()
def close(region: NameArgument, reason: ReasonOption) -> None:
    """Let no new tenants into a region; those that are there stay, and may grow."""
    _decide(region, "closed", reason)


@group.command()
def retire(region: NameArgument, reason: ReasonOption) -> None:
    """Give up a region in which no tenant is any more, for good."""
    _decide(region, "retired", reason)


def _decide(region: str, state: str, reason: str) -> None:
    body = {"state": state, "reason": reason}
    made = connect().put(f"/v1/regions/{region}/state", body)
    answer(made, lambda: say(tr("The region {name} is {state} now.", **made)))


def _cells(region: dict[str, Any]) -> list[object]:
    columns = ("name", "kind", "state", "is_served", "observed_at")
    return [region[column] for column in columns]


def _show(region: dict[str, Any]) -> None:
    facts(
        [
            ("Region", region["name"]),
            ("Kind", region["kind"]),
            ("State", region["state"]),
            ("Served", region["is_served"]),
            ("Last seen", region["observed_at"]),
            ("Memory in MiB", region["memory_mib"]),
            ("Id", region["id"]),
        ]
    )
