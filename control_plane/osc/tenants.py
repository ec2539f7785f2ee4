"""`openstack hosting tenant`: where hostings are; a tenant comes and goes with them."""

import argparse

from control_plane.osc.speaking import (
    Lister,
    Row,
    ShowOne,
    facts,
    table,
    take_agency,
    take_limit,
)

FIELDS = ("id", "agency", "region", "name", "status", "created_at", "ended_at")


class ListTenants(Lister):
    """List tenants, the newest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        take_agency(parser, "Only of this agency")
        take_limit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[Row]]:
        """List."""
        agency = parsed_args.agency or None
        items = self.client.list_all("/v1/tenants", parsed_args.limit, agency=agency)
        columns = {
            "ID": "id",
            "Agency": "agency",
            "Region": "region",
            "Name": "name",
            "Status": "status",
        }
        return table(columns, items)


class ShowTenant(ShowOne):
    """Show a tenant."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        parser.add_argument("tenant", metavar="<tenant>", help="ID of the tenant")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Show."""
        return facts(self.client.get(f"/v1/tenants/{parsed_args.tenant}"), FIELDS)
