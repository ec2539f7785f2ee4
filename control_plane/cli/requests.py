"""`edubba request`: ask for hosting, follow it, and decide."""

from typing import Annotated, Any

import typer

from control_plane.cli.choices import (
    AgencyOption,
    LimitOption,
    ReasonOption,
    TimeoutOption,
    WaitOption,
    chosen_agency,
    pairs,
    value_of,
)
from control_plane.cli.client import Client, connect
from control_plane.cli.following import follow_request
from control_plane.cli.terminal import answer, facts, rows, say, tr
from control_plane.tenancy.rules import PLACED_BY, PlacedBy

group = typer.Typer(no_args_is_help=True)
RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="Its id.")]
LONGEST_S = 900


@group.command()
def create(  # one option a field of the wish
    name: Annotated[str, typer.Argument(help="The hosting's name, such as website.")],
    blueprint: Annotated[str, typer.Option("--blueprint", "-b", help="What kind.")],
    size: Annotated[str, typer.Option("--size", "-s", help="How large.")],
    agency: AgencyOption = "",
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value, of the blueprint; [a, b] is a list."),
    ] = None,
    hostname: Annotated[
        str, typer.Option("--hostname", help="Below the zone; else chosen for you.")
    ] = "",
    title: Annotated[str, typer.Option("--title", help="What people read.")] = "",
    region: Annotated[str, typer.Option("--region", help="Else the only one.")] = "",
    tenant: Annotated[str, typer.Option("--tenant", help="Else main.")] = "",
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = LONGEST_S,
) -> None:
    """Ask for a new hosting; the policy may approve it at once."""
    client = connect()
    optional = {"hostname": hostname, "title": title, "region": region, "tenant": tenant}
    wish = {
        "kind": "create",
        "agency": chosen_agency(client, agency),
        "name": name,
        "blueprint": blueprint,
        "size": size,
        "inputs": {key: value_of(value) for key, value in pairs(inputs)},
        "reason": reason,
        **{key: value for key, value in optional.items() if value},
    }
    _conclude(client, client.post("/v1/requests", wish), timeout if wait else None)


@group.command()
def show(
    request_id: RequestId, wait: WaitOption = False, timeout: TimeoutOption = LONGEST_S
) -> None:
    """Show a request with its plan, its cost and all decisions."""
    client = connect()
    request = client.get(f"/v1/requests/{request_id}")
    _conclude(client, request, timeout if wait else None)


@group.command("list")
def list_requests(
    agency: Annotated[str, typer.Option("--agency", "-a", help="Only of this agency.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only these, such as submitted.")] = "",
    limit: LimitOption = 100,
) -> None:
    """List requests, the newest first."""
    items = connect().list_all("/v1/requests", limit, agency=agency or None, status=status or None)

    def cells(item: dict[str, Any]) -> list[object]:
        cost = item["plan"]["cost"]["per_month"] if item["plan"] else None
        columns = ("id", "kind", "status", "agency", "hosting_name")
        return [*(item[column] for column in columns), cost, item["submitted_at"]]

    titles = ("Id", "Kind", "Status", "Agency", "Hosting", "A month", "Submitted")
    answer({"items": items}, lambda: rows(titles, map(cells, items)))


@group.command()
def approve(
    request_id: RequestId,
    plan_hash: Annotated[
        str, typer.Option("--plan-hash", help="The plan that you read; else the present one.")
    ] = "",
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = LONGEST_S,
) -> None:
    """Approve exactly one plan; nobody approves what they asked for."""
    client = connect()
    known = plan_hash or client.get(f"/v1/requests/{request_id}")["plan"]["hash"]
    body = {"plan_hash": known, "reason": reason}
    done = client.post(f"/v1/requests/{request_id}/approve", body)
    _conclude(client, done, timeout if wait else None)


@group.command()
def reject(
    request_id: RequestId,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; its agency reads it.")],
) -> None:
    """Say no, and why."""
    client = connect()
    _conclude(client, client.post(f"/v1/requests/{request_id}/reject", {"reason": reason}), None)


@group.command()
def withdraw(request_id: RequestId, reason: ReasonOption = "") -> None:
    """Take a request back that nobody has decided on."""
    client = connect()
    _conclude(client, client.post(f"/v1/requests/{request_id}/withdraw", {"reason": reason}), None)


def _conclude(client: Client, request: dict[str, Any], timeout_s: int | None) -> None:
    if timeout_s is not None:
        request = follow_request(client, request["id"], timeout_s)
        hosting = client.get(f"/v1/hostings/{request['hosting']}")
        answer({**request, "url": hosting["url"]}, lambda: _show(request, hosting["url"]))
        return
    answer(request, lambda: _show(request))


def _why_there(request: dict[str, Any]) -> str | None:
    placed_by = request["placed_by"]
    return tr(PLACED_BY[PlacedBy(placed_by)]) if placed_by else None


def _show(request: dict[str, Any], url: str | None = None) -> None:
    plan = request["plan"]
    facts(
        [
            ("Request", request["id"]),
            ("Kind", request["kind"]),
            ("Status", request["status"]),
            ("Agency", request["agency"]),
            ("Hosting", f"{request['hosting_name']} ({request['hosting']})"),
            ("Submitted", request["submitted_at"]),
            ("Region", plan["body"]["region"] if plan else None),
            ("Placed there", _why_there(request)),
            ("Cost", plan["cost"]["per_month"] if plan else None),
            ("Plan", plan["hash"] if plan else None),
            ("Reason", request["reason"]),
            *((tr("Decision"), _decision(one)) for one in request.get("decisions", ())),
        ]
    )
    if url:
        say(url)


def _decision(decision: dict[str, Any]) -> str:
    because = (decision.get("because") or {}).values()
    words = [decision["answer"], decision["decider"], decision["reason"], *because]
    return " · ".join(word for word in words if word)
