"""`edubba attachment`: which application reaches which database."""

from typing import Annotated, Any

import typer

from control_plane.cli.choices import AgencyOption, HostingArgument, get_hosting, reference_of
from control_plane.cli.client import connect
from control_plane.cli.terminal import answer, rows, say, tr

group = typer.Typer(no_args_is_help=True)


@group.command()
def create(
    hosting: HostingArgument,
    target: Annotated[str, typer.Argument(metavar="DATABASE", help="Its name, or its id.")],
    agency: AgencyOption = "",
) -> None:
    """Attach an application to a database of its tenant."""
    client = connect()
    path = f"/v1/hostings/{reference_of(client, hosting, agency)}/attachments"
    body = {"target": get_hosting(client, target, agency)["id"]}
    made = client.post(path, body)
    answer(made, lambda: say(_told(made)))


@group.command("list")
def list_attachments(hosting: HostingArgument, agency: AgencyOption = "") -> None:
    """List what a hosting is attached to, and what is attached to it."""
    client = connect()
    found = client.get(f"/v1/hostings/{reference_of(client, hosting, agency)}/attachments")
    titles = ("Id", "Application", "Database", "Variable", "Status")
    lines = [
        [one["id"], one["names"]["hosting"], one["names"]["target"], one["variable"], one["status"]]
        for one in found["items"]
    ]
    answer(found, lambda: rows(titles, lines))


@group.command()
def end(attachment_id: Annotated[str, typer.Argument(metavar="ATTACHMENT")]) -> None:
    """Detach: the port is shut, and the application's user of the database is closed."""
    connect().delete(f"/v1/attachments/{attachment_id}")
    answer({"id": attachment_id}, lambda: say(tr("It is being detached.")))


def _told(made: dict[str, Any]) -> str:
    names = made["names"]
    return tr(
        "{hosting} is being attached to {target}; it finds the address in {variable}.",
        hosting=names["hosting"],
        target=names["target"],
        variable=made["variable"],
    )
