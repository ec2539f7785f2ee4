"""`edubba token`: tokens for pipelines."""

from typing import Annotated

import typer

from control_plane.cli.choices import LimitOption
from control_plane.cli.client import connect
from control_plane.cli.terminal import answer, rows, say, tr

group = typer.Typer(no_args_is_help=True)


@group.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="It expires then.")] = 90,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="Only this, such as release:write.")
    ] = None,
    agency: Annotated[str, typer.Option("--agency", "-a", help="Only in this agency.")] = "",
) -> None:
    """Make a token; its secret is shown now and never again."""
    client = connect()
    wish = {"name": name, "expires_in_days": days, "scopes": scope or None}
    if agency:
        wish["agency_id"] = client.get(f"/v1/agencies/{agency}")["id"]
    made = client.post("/v1/tokens", wish)

    def show() -> None:
        say(made["secret"])
        say(
            tr(
                "Keep it now (EDUBBA_TOKEN); it is not shown again. Expires {at}.",
                at=made["expires_at"],
            )
        )

    answer(made, show)


@group.command("list")
def list_tokens(limit: LimitOption = 100) -> None:
    """List one's own tokens, newest first."""
    items = connect().list_all("/v1/tokens", limit)
    columns = ("id", "name", "kind", "expires_at", "last_used_at", "revoked_at")
    titles = ("Id", "Name", "Kind", "Expires", "Last used", "Revoked")
    answer(
        {"items": items},
        lambda: rows(titles, ([item[column] for column in columns] for item in items)),
    )


@group.command()
def revoke(token_id: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Put a token out of force at once."""
    connect().delete(f"/v1/tokens/{token_id}")
    answer({"id": token_id}, lambda: say(tr("Revoked.")))
