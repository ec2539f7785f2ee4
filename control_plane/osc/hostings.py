"""`openstack hosting`: what is hosted; changes and ends are requests, too."""

import argparse
from typing import Any

from control_plane.cli.choices import get_hosting, pairs, reference_of, value_of
from control_plane.osc.requests import conclude
from control_plane.osc.speaking import (
    Lister,
    Row,
    ShowOne,
    facts,
    table,
    take_agency,
    take_hosting,
    take_limit,
    take_reason,
    take_wait,
)

FIELDS = (
    "id",
    "reference",
    "agency",
    "name",
    "title",
    "status",
    "blueprint",
    "size",
    "inputs",
    "url",
    "region",
    "tenant",
    "cost_per_month",
    "live_deployment_id",
    "open_request",
    "created_at",
    "observed_at",
    "probed_at",
    "suspended_at",
    "purge_after",
)


class ListHostings(Lister):
    """List hostings, the newest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        take_agency(parser, "Only of this agency")
        parser.add_argument("--status", metavar="<status>", help="Only these, such as active")
        take_limit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[Row]]:
        """List."""
        chosen = {"agency": parsed_args.agency or None, "status": parsed_args.status}
        items = self.client.list_all("/v1/hostings", parsed_args.limit, **chosen)
        columns = {
            "ID": "id",
            "Agency": "agency",
            "Name": "name",
            "Status": "status",
            "Blueprint": "blueprint",
            "Size": "size",
            "Address": "url",
        }
        return table(columns, items)


class ShowHosting(ShowOne):
    """Show a hosting: its wish and its fact."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        take_hosting(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Show."""
        found = get_hosting(self.client, parsed_args.hosting, parsed_args.agency)
        cost = found["cost"]["per_month"] if found["cost"] else None
        return facts({**found, "cost_per_month": cost}, FIELDS)


class _Asked(ShowOne):
    """Something that a hosting is asked to be; the answer is the request."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which, and whether to wait."""
        parser = super().get_parser(prog_name)
        take_hosting(parser)
        take_wait(parser)
        return parser

    def ask(
        self, parsed_args: argparse.Namespace, verb: str, said: dict[str, Any]
    ) -> tuple[tuple[str, ...], Row]:
        """Ask for it, and show the request."""
        reference = reference_of(self.client, parsed_args.hosting, parsed_args.agency)
        request = self.client.post(f"/v1/hostings/{reference}/{verb}", said)
        return conclude(self.client, request, parsed_args)


class SetHosting(_Asked):
    """Ask for another size, title, inputs or image; all content stays."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take what shall be otherwise."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--size", metavar="<size>", help="Another size")
        parser.add_argument("--title", metavar="<title>", help="What people read")
        parser.add_argument(
            "--input",
            metavar="<name=value>",
            action="append",
            help="An input of the blueprint, all of them anew (repeat for more)",
        )
        parser.add_argument(
            "--newest-image", action="store_true", help="Roll it to the newest prepared image"
        )
        take_reason(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Ask."""
        said: dict[str, Any] = {name: vars(parsed_args)[name] for name in ("size", "title")}
        said["image"] = "newest" if parsed_args.newest_image else None
        if parsed_args.input is not None:
            said["inputs"] = {name: value_of(value) for name, value in pairs(parsed_args.input)}
        known = {name: value for name, value in said.items() if value is not None}
        return self.ask(parsed_args, "change", {**known, "reason": parsed_args.reason})


class DeleteHosting(_Asked):
    """Ask for a hosting's end; its data is kept for a while after."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take why."""
        parser = super().get_parser(prog_name)
        take_reason(parser, is_needed=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Ask."""
        return self.ask(parsed_args, "end", {"reason": parsed_args.reason})
