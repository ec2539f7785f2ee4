"""`edubba agency project`: projects of Keystone whose members act for an agency."""

from typing import Annotated, Any

import typer

from control_plane.cli.choices import LimitOption, pairs
from control_plane.cli.client import connect
from control_plane.cli.terminal import answer, rows, say, tr

group = typer.Typer(no_args_is_help=True)
AgencyArgument = Annotated[str, typer.Argument(metavar="AGENCY", help="Its short name.")]
ProjectArgument = Annotated[
    str, typer.Argument(metavar="PROJECT", help="Its id: openstack project show.")
]
DomainOption = Annotated[str, typer.Option("--domain", help="The id of the project's domain.")]
RolesOption = Annotated[
    list[str],
    typer.Option("--role", help="theirs=ours, such as member=developer; all of them."),
]


@group.command("list")
def list_projects(agency: AgencyArgument, limit: LimitOption = 100) -> None:
    """List the projects of Keystone whose members act for an agency."""
    items = connect().list_all(f"/v1/agencies/{agency}/projects", limit)

    def cells(item: dict[str, Any]) -> list[object]:
        return [item["project_id"], item["domain_id"], spell(item["roles"]), item["mapped_at"]]

    titles = ("Project", "Domain", "Roles", "Since")
    answer({"items": items}, lambda: rows(titles, map(cells, items)))


@group.command("set")
def set_project(
    agency: AgencyArgument, project: ProjectArgument, domain: DomainOption, role: RolesOption
) -> None:
    """Let a project's members act for an agency, by their roles in it."""
    wish = {"domain_id": domain, "roles": dict(pairs(role))}
    made = connect().put(f"/v1/agencies/{agency}/projects/{project}", wish)
    told = {"project": project, "agency": agency, "roles": spell(made["roles"])}
    answer(made, lambda: say(tr("{project} acts for {agency} now: {roles}.", **told)))


@group.command("remove")
def remove_project(agency: AgencyArgument, project: ProjectArgument) -> None:
    """Let a project act for an agency no more; at once."""
    connect().delete(f"/v1/agencies/{agency}/projects/{project}")
    told = {"project": project, "agency": agency}
    answer(told, lambda: say(tr("{project} doesn't act for {agency} any more.", **told)))


def spell(roles: dict[str, str]) -> str:
    """Return roles as they are said: theirs=ours."""
    return ", ".join(f"{theirs}={ours}" for theirs, ours in roles.items())
