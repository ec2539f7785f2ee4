"""`edubba blueprint`: the kinds of hosting on offer, with sizes, prices and inputs."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from control_plane.cli.client import connect
from control_plane.cli.terminal import answer, facts, options, rows

group = typer.Typer(no_args_is_help=True)


@group.command("list")
def list_blueprints() -> None:
    """List what can be asked for."""
    items = connect().get("/v1/blueprints")["items"]
    locale = options().locale

    def cells(item: dict[str, Any]) -> list[object]:
        sizes = [size["name"] for size in item["sizes"] if size["prices"]]
        return [item["name"], item["title"][locale], sizes, item["summary"][locale]]

    titles = ("Blueprint", "Title", "Sizes", "What it is")
    answer({"items": items}, lambda: rows(titles, map(cells, items)))


@group.command()
def show(name: Annotated[str, typer.Argument(metavar="BLUEPRINT", help="Its name.")]) -> None:
    """Show a kind of hosting: its sizes, what they cost now, and the inputs it takes."""
    found = connect().get(f"/v1/blueprints/{name}")
    answer(found, lambda: _show(found))


def _show(blueprint: dict[str, Any]) -> None:
    locale = options().locale
    wheels = blueprint["wheels"]
    facts(
        [
            ("Blueprint", blueprint["name"]),
            ("Title", blueprint["title"][locale]),
            ("What it is", blueprint["summary"][locale]),
            ("Digest", blueprint["digest"]),
            ("Packages for", wheels and [f"Python {wheels['python']}", *wheels["platforms"]]),
        ]
    )
    titles = ("Size", "Label", "Memory, MiB", "Processor, ‰", "Disk, MiB", "A month")
    rows(titles, map(_size, blueprint["sizes"]))
    if blueprint["inputs"]["properties"]:
        rows(("Input", "Label", "Type", "Needed", "Else", "Help"), _inputs(blueprint["inputs"]))


def _size(size: dict[str, Any]) -> list[object]:
    amounts = [f"{size[name]:,}" for name in ("memory_mib", "cpu_millis", "disk_mib")]
    prices = [price["per_month"] for price in size["prices"]]
    return [size["name"], size["label"][options().locale], *amounts, prices]


def _inputs(schema: dict[str, Any]) -> Iterator[list[object]]:
    locale = options().locale
    for name, field in schema["properties"].items():
        yield [
            name,
            field.get("x-label", {}).get(locale),
            field.get("type"),
            name in schema.get("required", ()),
            field.get("default"),
            field.get("x-help", {}).get(locale),
        ]
