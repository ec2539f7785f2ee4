"""`edubba log`: what a hosting's services wrote."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

import typer

from control_plane.cli.choices import AgencyOption, HostingArgument, reference_of
from control_plane.cli.client import Client, connect, pause
from control_plane.cli.terminal import answer, note, options, say, tr

group = typer.Typer(no_args_is_help=True)
FRESH_S = 5.0  # how long what was written a moment ago is waited for
LOOK_EVERY_S, FOLLOW_EVERY_S = 0.5, 2.0
AT_ONCE = 200  # lines of a page


@group.command()
def show(
    hosting: HostingArgument,
    agency: AgencyOption = "",
    service: Annotated[
        str, typer.Option("--service", "-s", help="Lines of this service alone, such as web.")
    ] = "",
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of the newest.")
    ] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    timeout: Annotated[
        int | None, typer.Option("--timeout", min=1, help="Follow for so many seconds alone.")
    ] = None,
) -> None:
    """Show the last lines that a hosting's services wrote, the newest at the end.

    With --follow and --json, each line is a document of its own.
    """
    client = connect()
    path = f"/v1/hostings/{reference_of(client, hosting, agency)}/logs"
    collected_at = _have_collected(client, path)
    items = client.list_all(path, lines, service=service or None)[::-1]
    if not follow:
        answer(
            {"items": items, "collected_at": collected_at}, lambda: _show_all(items, collected_at)
        )
        return
    for item in chain(items, _fresh(client, path, service, items, timeout)):
        _tell(item)


def _have_collected(client: Client, path: str) -> str | None:
    """Have the server asked for what is new, and wait a little until it is here."""
    ends_at = time.monotonic() + FRESH_S
    while True:
        told = client.post(f"{path}/collections")
        if not told["is_under_way"] or time.monotonic() >= ends_at:
            collected_at: str | None = told["collected_at"]
            return collected_at
        pause(LOOK_EVERY_S)


def _fresh(
    client: Client, path: str, service: str, known: list[Any], timeout_s: int | None
) -> Iterator[Any]:
    """Give what comes after the known lines, as long as somebody listens."""
    last = known[-1]["number"] if known else 0
    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    while ends_at is None or time.monotonic() < ends_at:
        client.post(f"{path}/collections")
        page = client.get(path, after=last, limit=AT_ONCE, service=service or None)
        for item in page["items"]:
            last = item["number"]
            yield item
        if len(page["items"]) < AT_ONCE:
            pause(FOLLOW_EVERY_S)


def _tell(item: Any) -> None:
    if options().as_json:
        sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        say(_line_of(item))


def _show_all(items: list[Any], collected_at: str | None) -> None:
    for item in items:
        say(_line_of(item))
    if not items:
        say(tr("Nothing was written yet."))
    if collected_at is None:
        note(tr("The server was not asked yet; it is looked at once it is in service."))


def _line_of(item: Any) -> str:
    at = datetime.fromisoformat(item["at"]).astimezone(UTC)
    text = item["text"]
    if item["lost"]:
        text = tr(
            "… {bytes} bytes are missing here: more was written than is kept", bytes=item["lost"]
        )
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} {item['service']}: {text}"
