"""`edubba hosting`: what is hosted."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from control_plane.cli.choices import (
    AgencyOption,
    HostingArgument,
    LimitOption,
    ReasonOption,
    TimeoutOption,
    WaitOption,
    get_hosting,
    pairs,
    reference_of,
    value_of,
)
from control_plane.cli.client import Client, connect
from control_plane.cli.following import Story, follow_request
from control_plane.cli.terminal import answer, facts, rows, say, tr

group = typer.Typer(no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done with a hosting: the verb of the API, and what is said with it."""

    hosting: str
    agency: str
    verb: str
    body: dict[str, Any]

    def path(self, client: Client) -> str:
        """Return where to ask for it."""
        return f"/v1/hostings/{reference_of(client, self.hosting, self.agency)}/{self.verb}"


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
    _ask(Wanted(hosting, agency, "end", {"reason": reason}), timeout if wait else None)


@group.command()
def change(  # one option a field of the wish
    hosting: HostingArgument,
    size: Annotated[str, typer.Option("--size", "-s", help="Another size.")] = "",
    title: Annotated[str, typer.Option("--title", help="What people read.")] = "",
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value; all of them anew. [a, b] is a list."),
    ] = None,
    newest_image: Annotated[
        bool, typer.Option("--newest-image", help="Roll it to the newest prepared image.")
    ] = False,
    agency: AgencyOption = "",
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
) -> None:
    """Ask for another size, title, inputs or image; all content stays."""
    said: dict[str, Any] = {"size": size, "title": title, "reason": reason}
    said["image"] = "newest" if newest_image else ""
    body = {key: value for key, value in said.items() if value}
    if inputs is not None:
        body["inputs"] = {key: value_of(value) for key, value in pairs(inputs)}
    _ask(Wanted(hosting, agency, "change", body), timeout if wait else None)


@group.command()
def restore(
    hosting: HostingArgument,
    agency: AgencyOption = "",
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
) -> None:
    """Bring back a hosting that has ended, as long as its data is kept."""
    _ask(Wanted(hosting, agency, "restore", {"reason": reason}), timeout if wait else None)


@group.command()
def suspend(
    hosting: HostingArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; its agency reads it.")],
    agency: AgencyOption = "",
) -> None:
    """Close a hosting for a while: visitors get a page, and all data stays."""
    _wish(Wanted(hosting, agency, "suspend", {"reason": reason}))


@group.command()
def resume(hosting: HostingArgument, agency: AgencyOption = "", reason: ReasonOption = "") -> None:
    """Open a hosting again."""
    _wish(Wanted(hosting, agency, "resume", {"reason": reason}))


def _ask(wanted: Wanted, timeout_s: int | None) -> None:
    client = connect()
    request = client.post(wanted.path(client), wanted.body)
    if timeout_s is not None:
        request = follow_request(client, request["id"], timeout_s)
    words = tr("Request {id} is {status}.", id=request["id"], status=request["status"])
    answer(request, lambda: say(words))


def _wish(wanted: Wanted) -> None:
    client = connect()
    shown = client.post(wanted.path(client), wanted.body)
    answer(shown, lambda: _show(shown))


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
            ("Suspended", hosting["suspended_at"]),
            ("Suspended because", hosting["suspended_why"]),
            ("Data kept until", hosting["purge_after"]),
        ]
    )
