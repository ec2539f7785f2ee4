"""`openstack hosting request`: a hosting is asked for, and somebody decides."""

import argparse
from typing import Any

from control_plane.cli.choices import chosen_agency, pairs, value_of
from control_plane.cli.client import Client
from control_plane.cli.following import follow_request
from control_plane.osc.speaking import (
    Lister,
    Row,
    ShowOne,
    facts,
    table,
    take_agency,
    take_limit,
    take_reason,
    take_wait,
)

FIELDS = (
    "id",
    "kind",
    "status",
    "agency",
    "hosting",
    "hosting_name",
    "url",
    "cost_per_month",
    "plan_hash",
    "reason",
    "submitted_by",
    "submitted_at",
    "closed_at",
    "decisions",
)


class CreateRequest(ShowOne):
    """Ask for a new hosting; the policy may approve it at once."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take what is wished."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="<name>", help="The hosting's name")
        parser.add_argument("--blueprint", metavar="<blueprint>", required=True, help="What kind")
        parser.add_argument("--size", metavar="<size>", required=True, help="How large")
        parser.add_argument(
            "--input",
            metavar="<name=value>",
            action="append",
            help="An input of the blueprint; [a, b] is a list (repeat for more)",
        )
        for name, words in (
            ("hostname", "Below the zone (default: chosen for you)"),
            ("title", "What people read"),
            ("region", "Region of the platform (default: the only one)"),
            ("tenant", "Tenant of the agency (default: main)"),
        ):
            parser.add_argument(f"--{name}", metavar=f"<{name}>", help=words)
        take_agency(parser, "For this agency (default: your only one)")
        take_reason(parser)
        take_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Ask."""
        said = vars(parsed_args)
        optional = {name: said[name] for name in ("hostname", "title", "region", "tenant")}
        wish = {
            "kind": "create",
            "agency": chosen_agency(self.client, parsed_args.agency),
            "name": parsed_args.name,
            "blueprint": parsed_args.blueprint,
            "size": parsed_args.size,
            "inputs": {name: value_of(value) for name, value in pairs(parsed_args.input)},
            "reason": parsed_args.reason,
            **{name: value for name, value in optional.items() if value},
        }
        return conclude(self.client, self.client.post("/v1/requests", wish), parsed_args)


class ListRequests(Lister):
    """List requests, the newest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        take_agency(parser, "Only of this agency")
        parser.add_argument("--status", metavar="<status>", help="Only these, such as submitted")
        take_limit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[Row]]:
        """List."""
        chosen = {"agency": parsed_args.agency or None, "status": parsed_args.status}
        items = self.client.list_all("/v1/requests", parsed_args.limit, **chosen)
        columns = {
            "ID": "id",
            "Kind": "kind",
            "Status": "status",
            "Agency": "agency",
            "Hosting": "hosting_name",
            "Cost Per Month": "cost_per_month",
            "Submitted At": "submitted_at",
        }
        return table(columns, ({**item, "cost_per_month": _cost_of(item)} for item in items))


class _OfOne(ShowOne):
    """Something about one request."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        parser.add_argument("request", metavar="<request>", help="ID of the request")
        return parser

    def answer(self, parsed_args: argparse.Namespace, verb: str, **said: str) -> Any:
        """Answer the request, and return it."""
        said["reason"] = parsed_args.reason
        return self.client.post(f"/v1/requests/{parsed_args.request}/{verb}", said)


class ShowRequest(_OfOne):
    """Show a request with its plan's hash, its cost and all decisions."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which, and whether to wait."""
        parser = super().get_parser(prog_name)
        take_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Show."""
        found = self.client.get(f"/v1/requests/{parsed_args.request}")
        return conclude(self.client, found, parsed_args)


class ApproveRequest(_OfOne):
    """Approve exactly one plan; nobody approves what they asked for."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which, and which plan."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--plan-hash",
            metavar="<hash>",
            help="The plan that you read (default: the present one)",
        )
        take_reason(parser)
        take_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Approve."""
        path = f"/v1/requests/{parsed_args.request}"
        plan_hash = parsed_args.plan_hash or self.client.get(path)["plan"]["hash"]
        done = self.answer(parsed_args, "approve", plan_hash=plan_hash)
        return conclude(self.client, done, parsed_args)


class RejectRequest(_OfOne):
    """Say no to a request, and why."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which, and why."""
        parser = super().get_parser(prog_name)
        take_reason(parser, is_needed=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Reject."""
        return shown(self.answer(parsed_args, "reject"))


class DeleteRequest(_OfOne):
    """Take a request back that nobody has decided on; it is kept as withdrawn."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which, and why."""
        parser = super().get_parser(prog_name)
        take_reason(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Withdraw."""
        return shown(self.answer(parsed_args, "withdraw"))


def conclude(
    client: Client, request: dict[str, Any], parsed_args: argparse.Namespace
) -> tuple[tuple[str, ...], Row]:
    """Show a request; with --wait, when it is fulfilled, with its hosting's address."""
    if parsed_args.wait:
        request = follow_request(client, request["id"], parsed_args.timeout)
        request["url"] = client.get(f"/v1/hostings/{request['hosting']}")["url"]
    return shown(request)


def shown(request: dict[str, Any]) -> tuple[tuple[str, ...], Row]:
    """Show a request as it is."""
    plan = request["plan"] or {}
    more = {"cost_per_month": _cost_of(request), "plan_hash": plan.get("hash")}
    return facts({**request, **more}, FIELDS)


def _cost_of(request: dict[str, Any]) -> str | None:
    return request["plan"]["cost"]["per_month"] if request["plan"] else None
