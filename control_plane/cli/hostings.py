"""`edubba hosting`: what is hosted."""

from typing import Annotated, Any

import typer

from control_plane.cli.choices import (
    AgencyOption,
    HostingArgument,
    LimitOption,
    TimeoutOption,
    WaitOption,
    get_hosting,
    reference_of,
)
from control_plane.cli.client import connect
from control_plane.cli.following import Story, follow_request
from control_plane.cli.terminal import answer, facts, rows, say, tr

group = typer.Typer(no_args_is_help=True)


@group.command("list")
def list_hostings(
    agency: Annotated[str, typer.Option("--agency", "-a", help="Only of this agency.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only these, such as active.")] = "",
    limit: LimitOption = 100,
) -> None:
    """List hostings, the newest first."""
    items = connect().list_all("/v1/hostings", limit, agency=agency or None, status=status or None)
    columns = ("id", "agency", "name", "status", "blueprint", "size", "url")
    titles = ("Id", "Agency", "Name", "Status", "Blueprint", "Size", "Address")
    answer(
        {"items": items},
        lambda: rows(titles, ([item[column] for column in columns] for item in items)),
    )


@group.command()
def show(
    hosting: HostingArgument,
    agency: AgencyOption = "",
    events: Annotated[bool, typer.Option("--events", help="Tell its story, too.")] = False,
) -> None:
    """Show a hosting: its wish, its fact, and its story."""
    client = connect()
    found = get_hosting(client, hosting, agency)
    answer(found, lambda: _show(found))
    if events:
        Story(client, f"/v1/hostings/{found['id']}/events").tell()


@group.command()
def end(
    hosting: HostingArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept for ever.")],
    agency: AgencyOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
) -> None:
    """Ask for a hosting's end; its data is kept for a while after."""
    client = connect()
    path = f"/v1/hostings/{reference_of(client, hosting, agency)}/end"
    request = client.post(path, {"reason": reason})
    if wait:
        request = follow_request(client, request["id"], timeout)
    words = tr("Request {id} is {status}.", id=request["id"], status=request["status"])
    answer(request, lambda: say(words))


def _show(hosting: dict[str, Any]) -> None:
    cost = hosting["cost"]
    facts(
        [
            ("Hosting", hosting["reference"]),
            ("Id", hosting["id"]),
            ("Title", hosting["title"]),
            ("Status", hosting["status"]),
            ("Address", hosting["url"]),
            ("Blueprint", f"{hosting['blueprint']} · {hosting['size']}"),
            ("Cost", cost["per_month"] if cost else None),
            ("Region", hosting["region"]),
            ("Wish and fact", f"{hosting['generation']} / {hosting['observed_generation']}"),
            ("Live deployment", hosting["live_deployment_id"]),
            ("Created", hosting["created_at"]),
            ("Seen last", hosting["observed_at"]),
            ("Probed last", hosting["probed_at"]),
            ("Isolation failed", hosting["probe_failed_at"]),
            ("Found and mended", hosting["drift"]),
            ("Open request", hosting["open_request"]),
            ("Data kept until", hosting["purge_after"]),
        ]
    )
