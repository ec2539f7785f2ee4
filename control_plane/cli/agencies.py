"""`edubba agency`: institutions, what they may have, and who acts for them."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from control_plane.cli import projects
from control_plane.cli.choices import LimitOption
from control_plane.cli.client import Client, connect
from control_plane.cli.exits import Code, Stop
from control_plane.cli.means import amount_of, name_of
from control_plane.cli.terminal import answer, facts, options, rows, say, tr
from control_plane.kit.money import HOURS_PER_MONTH, MICROS

group = typer.Typer(no_args_is_help=True)
member = typer.Typer(no_args_is_help=True)
group.add_typer(member, name="member", help="Who acts for an agency: list, add, remove.")
group.add_typer(
    projects.group, name="project", help="Projects of Keystone that act for it: list, set, remove."
)
SlugArgument = Annotated[str, typer.Argument(metavar="AGENCY", help="Its short name.")]
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address.")]
RoleOption = Annotated[str, typer.Option("--role", help="owner, developer or viewer.")]


@group.command("list")
def list_agencies(limit: LimitOption = 100) -> None:
    """List the agencies that one belongs to; the data centre sees all."""
    items = connect().list_all("/v1/agencies", limit)
    columns = ("slug", f"name_{options().locale}", "currency", "created_at", "suspended_at", "id")
    titles = ("Agency", "Name", "Currency", "Since", "Suspended", "Id")
    answer(
        {"items": items},
        lambda: rows(titles, ([item[column] for column in columns] for item in items)),
    )


@group.command()
def show(agency: SlugArgument) -> None:
    """Show an agency, its quota and budget, and what is left of them."""
    client = connect()
    found = client.get(f"/v1/agencies/{agency}")
    usage = client.get(f"/v1/agencies/{agency}/usage")
    answer({**found, "usage": usage["resources"]}, lambda: _show(found, usage))


@group.command()
def create(
    agency: SlugArgument,
    name_ar: Annotated[str, typer.Option("--name-ar", help="Its name in Arabic.")],
    name_en: Annotated[str, typer.Option("--name-en", help="Its name in English.")],
    currency: Annotated[str, typer.Option("--currency", help="ISO 4217, such as IQD.")] = "IQD",
) -> None:
    """Take an agency in; it may have nothing until it gets a quota and a budget."""
    wish = {"slug": agency, "name_ar": name_ar, "name_en": name_en, "currency": currency}
    made = connect().post("/v1/agencies", wish)
    answer(made, lambda: say(tr("{slug} is taken in. Now its quota and its budget.", **made)))


@group.command()
def quota(
    agency: SlugArgument,
    servers: Annotated[int | None, typer.Option("--servers", min=0, help="At once.")] = None,
    cpu: Annotated[
        int | None, typer.Option("--cpu", min=0, help="Thousandths of a processor.")
    ] = None,
    memory: Annotated[int | None, typer.Option("--memory", min=0, help="MiB.")] = None,
    disk: Annotated[int | None, typer.Option("--disk", min=0, help="MiB.")] = None,
) -> None:
    """Say how much an agency may have at once; what isn't said stays as it is."""
    said = {"servers": servers, "cpu_millis": cpu, "memory_mib": memory, "disk_mib": disk}
    given = {name: amount for name, amount in said.items() if amount is not None}
    if not given:
        raise Stop(
            Code.USAGE,
            "quota_missing",
            tr("Nothing was said to be changed"),
            tr("Say at least one of: --servers, --cpu, --memory, --disk."),
        )
    client = connect()
    present, tag = client.get_tagged(f"/v1/agencies/{agency}")
    _change(client, agency, "quota", {**present["quota"], **given}, tag)


@group.command()
def regions(
    agency: SlugArgument,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="A region; all of them. None: any.")
    ] = None,
    default: Annotated[
        str | None, typer.Option("--default", help="Where new tenants are, if nothing is said.")
    ] = None,
) -> None:
    """Say which regions an agency's new tenants may be in; what it has stays."""
    client = connect()
    _, tag = client.get_tagged(f"/v1/agencies/{agency}")
    _change(client, agency, "regions", {"allowed": allow or [], "default": default}, tag)


@group.command()
def budget(
    agency: SlugArgument,
    per_month: Annotated[
        str, typer.Option("--per-month", help="In the agency's currency, such as 365000.")
    ],
) -> None:
    """Say what an agency's hostings may cost together in a month of 730 hours."""
    client = connect()
    present, tag = client.get_tagged(f"/v1/agencies/{agency}")
    wish = {"currency": present["currency"], "micros_per_hour": _per_hour(per_month)}
    _change(client, agency, "budget", wish, tag)


@member.command("list")
def list_members(agency: SlugArgument, limit: LimitOption = 100) -> None:
    """List who has which role in an agency."""
    items = connect().list_all(f"/v1/agencies/{agency}/members", limit)

    def cells(item: dict[str, Any]) -> list[object]:
        person = item["person"]
        return [person["email"], person["name"], item["role"], item["granted_at"], person["id"]]

    answer(
        {"items": items},
        lambda: rows(("E-mail", "Name", "Role", "Since", "Id"), map(cells, items)),
    )


@member.command("add")
def add_member(
    agency: SlugArgument,
    email: EmailArgument,
    role: RoleOption,
    name: Annotated[str, typer.Option("--name", help="For somebody who isn't known yet.")] = "",
    language: Annotated[str, typer.Option("--language", help="ar or en, for them.")] = "ar",
) -> None:
    """Give somebody a role; who isn't known yet gets a first password, shown this once."""
    wish = {"email": email, "role": role, "name": name or None, "locale": language}
    made = connect().post(f"/v1/agencies/{agency}/members", wish)

    def show_it() -> None:
        say(tr("{email} is {role} of {agency} now.", email=email, role=role, agency=agency))
        if made["initial_password"]:
            say(tr("First password, shown this once: {word}", word=made["initial_password"]))

    answer(made, show_it)


@member.command("remove")
def remove_member(agency: SlugArgument, email: EmailArgument, role: RoleOption) -> None:
    """Take a role away from somebody."""
    client = connect()
    path = f"/v1/agencies/{agency}/members"
    known = [
        item["person"]["id"]
        for item in client.list_all(path, 10_000)
        if item["person"]["email"] == email.lower() and item["role"] == role
    ]
    if not known:
        raise Stop(
            Code.NOT_FOUND,
            "member_unknown",
            tr("{email} is not {role} of {agency}", email=email, role=role, agency=agency),
            tr("`edubba agency member list` shows who is."),
        )
    client.delete(f"{path}/{known[0]}/{role}")
    told = {"email": email, "role": role, "agency": agency}
    answer(told, lambda: say(tr("{email} is not {role} of {agency} any more.", **told)))


def _change(client: Client, agency: str, part: str, wish: dict[str, Any], tag: str | None) -> None:
    changed = client.put(f"/v1/agencies/{agency}/{part}", wish, tag)
    usage = client.get(f"/v1/agencies/{agency}/usage")
    answer({**changed, "usage": usage["resources"]}, lambda: _show(changed, usage))


def _per_hour(said: str) -> int:
    try:
        month = Decimal(said.replace(",", ""))
    except InvalidOperation:
        month = Decimal(-1)
    if not month.is_finite() or month < 0:
        raise Stop(
            Code.USAGE,
            "amount_invalid",
            tr("{said} is no amount", said=said),
            tr("Say it in digits, such as 365000."),
        )
    return int(month * MICROS / HOURS_PER_MONTH)  # never more than was said


def _show(agency: dict[str, Any], usage: dict[str, Any]) -> None:
    facts(
        [
            ("Agency", agency["slug"]),
            ("Name", agency[f"name_{options().locale}"]),
            ("Id", agency["id"]),
            ("Since", agency["created_at"]),
            ("Suspended", agency["suspended_at"]),
            ("Regions", agency["regions"]["allowed"]),
            ("First region", agency["regions"]["default"]),
        ]
    )
    titles = ("Resource", "Limit", "Held", "In use", "Left")
    rows(titles, [_use(use, usage["currency"]) for use in usage["resources"]])


def _use(use: dict[str, Any], currency: str) -> list[object]:
    resource = use["resource"]
    amounts = [use[name] for name in ("limit", "held", "committed", "left")]
    spelled = [amount_of(resource, amount, currency) for amount in amounts]
    return [name_of(resource, currency), *spelled]
