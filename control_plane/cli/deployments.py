"""`edubba deployment` and `edubba rollback`: what was put live, and going back."""

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
    reference_of,
)
from control_plane.cli.client import connect
from control_plane.cli.following import follow_deployment
from control_plane.cli.terminal import answer, facts, rows, say, tr

group = typer.Typer(no_args_is_help=True)
HostingOption = Annotated[
    str, typer.Option("--hosting", metavar="HOSTING", help="Its name, `agency:name`, or id.")
]


@group.command("list")
def list_deployments(
    hosting: HostingArgument, agency: AgencyOption = "", limit: LimitOption = 50
) -> None:
    """List a hosting's deployments, newest first; number 0 is its blueprint's own page."""
    client = connect()
    path = f"/v1/hostings/{reference_of(client, hosting, agency)}/deployments"
    items = client.list_all(path, limit)
    columns = ("number", "status", "release", "rollback_of", "reason", "created_at", "finished_at")
    titles = ("Number", "Status", "Release", "Back to", "Reason", "Asked", "Done")
    answer(
        {"items": items},
        lambda: rows(titles, ([item[column] for column in columns] for item in items)),
    )


@group.command()
def show(deployment_id: Annotated[str, typer.Argument(metavar="DEPLOYMENT")]) -> None:
    """Show a deployment and what came of it, its check's output included."""
    found = connect().get(f"/v1/deployments/{deployment_id}")
    answer(found, lambda: show_deployment(found))


def rollback(
    hosting: HostingArgument,
    to: Annotated[
        int | None, typer.Option("--to", min=0, help="A deployment's number; else the one before.")
    ] = None,
    agency: AgencyOption = "",
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 300,
) -> None:
    """Go back to a deployment that was live; that is a deployment, too."""
    client = connect()
    found = get_hosting(client, hosting, agency)
    done = client.post(f"/v1/hostings/{found['id']}/rollback", {"to": to, "reason": reason})
    if wait:
        done = follow_deployment(client, done, timeout)
    conclude(done, found["url"])


def conclude(deployment: dict[str, Any], url: str | None) -> None:
    """Answer with a deployment and where it is seen."""

    def show_it() -> None:
        number, status = deployment["number"], deployment["status"]
        say(tr("Deployment {number} is {status}.", number=number, status=status))
        if url:
            say(url)

    answer({**deployment, "url": url}, show_it)


def show_deployment(deployment: dict[str, Any]) -> None:
    """Show a deployment to people."""
    outcome = deployment["outcome"] or {}
    facts(
        [
            ("Deployment", deployment["id"]),
            ("Number", deployment["number"]),
            ("Status", deployment["status"]),
            ("Release", deployment["release"]),
            ("Back to", deployment["rollback_of"]),
            ("By", deployment["actor"]),
            ("Reason", deployment["reason"]),
            ("Asked", deployment["created_at"]),
            ("Done", deployment["finished_at"]),
            ("Outcome", outcome.get("happened")),
            ("Output", outcome.get("output")),
            ("What to do", outcome.get("mend")),
        ]
    )
