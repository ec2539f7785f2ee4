"""`edubba run`: the runs of playbooks that configured a hosting."""

from typing import Annotated, Any

import typer

from control_plane.cli.choices import AgencyOption, HostingArgument, LimitOption, reference_of
from control_plane.cli.client import connect
from control_plane.cli.terminal import answer, facts, rows, say, tr

group = typer.Typer(no_args_is_help=True)
UNTOLD = ("task", "skipped")  # that a task begins is told by how it ends


@group.command("list")
def list_runs(hosting: HostingArgument, agency: AgencyOption = "", limit: LimitOption = 50) -> None:
    """List the runs of playbooks that configured a hosting, the newest first."""
    client = connect()
    items = client.list_all(f"/v1/hostings/{reference_of(client, hosting, agency)}/runs", limit)
    columns = ("id", "playbook", "status", "reason", "created_at", "finished_at")
    titles = ("Id", "Playbook", "Status", "Reason", "Asked", "Done")
    answer(
        {"items": items},
        lambda: rows(titles, ([item[column] for column in columns] for item in items)),
    )


@group.command()
def show(run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """Show a run and its timeline: what each task did, and what went wrong."""
    found = connect().get(f"/v1/runs/{run_id}")
    answer(found, lambda: _show(found))


def _show(run: dict[str, Any]) -> None:
    named = {"Playbook": "playbook", "Status": "status", "Reason": "reason"}
    times = {"Asked": "created_at", "Done": "finished_at"}
    facts((title, run[name]) for title, name in {"Id": "id", **named, **times}.items())
    told = [event for event in run["events"] if event["kind"] not in UNTOLD]
    rows(("What", "Task", "Told"), ([one["kind"], one["task"], one["text"]] for one in told))
    if run["output"]:
        say(tr("What went wrong"))
        say(run["output"])
