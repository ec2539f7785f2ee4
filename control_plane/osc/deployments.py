"""`openstack hosting deployment`: a folder goes live, and back."""

import argparse
from pathlib import Path
from typing import Any

from control_plane.cli.choices import get_hosting, reference_of
from control_plane.cli.deploy import Wish, put_live
from control_plane.cli.exits import Code, Stop
from control_plane.cli.following import follow_deployment
from control_plane.cli.terminal import tr
from control_plane.osc.speaking import (
    Lister,
    Row,
    ShowOne,
    facts,
    table,
    take_hosting,
    take_limit,
    take_reason,
    take_wait,
)

FIELDS = (
    "id",
    "number",
    "status",
    "hosting",
    "release",
    "rollback_of",
    "url",
    "files",
    "uploaded",
    "actor",
    "reason",
    "created_at",
    "finished_at",
    "outcome",
)


class _PutLive(ShowOne):
    """Something that makes a deployment."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take where, why, and whether to wait."""
        parser = super().get_parser(prog_name)
        take_hosting(parser)
        take_reason(parser)
        take_wait(parser)
        return parser

    def conclude(
        self, hosting: dict[str, Any], made: dict[str, Any], parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], Row]:
        """Show a deployment; with --wait, when it is live."""
        if parsed_args.wait:
            made = {**made, **follow_deployment(self.client, made, parsed_args.timeout)}
        return facts({**made, "url": hosting["url"]}, FIELDS)


class CreateDeployment(_PutLive):
    """Upload a folder and put it live; run again it sends only what is missing."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take what."""
        parser = super().get_parser(prog_name)
        parser.add_argument("directory", metavar="<directory>", type=Path, help="What to put live")
        parser.add_argument(
            "--renew-wheels", action="store_true", help="Choose and fetch packages anew"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Put it live."""
        directory = parsed_args.directory
        if not directory.is_dir():
            raise Stop(Code.USAGE, "no_folder", tr("{path} is no folder", path=directory))
        found = get_hosting(self.client, parsed_args.hosting, parsed_args.agency)
        wish = Wish(directory, parsed_args.reason, renew_wheels=parsed_args.renew_wheels)
        return self.conclude(found, put_live(self.client, found, wish), parsed_args)


class RollBack(_PutLive):
    """Go back to a deployment that was live; that is a deployment, too."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take how far."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--to", metavar="<number>", type=int, help="Its number (default: the one before)"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Go back."""
        found = get_hosting(self.client, parsed_args.hosting, parsed_args.agency)
        wish = {"to": parsed_args.to, "reason": parsed_args.reason}
        made = self.client.post(f"/v1/hostings/{found['id']}/rollback", wish)
        return self.conclude(found, made, parsed_args)


class ListDeployments(Lister):
    """List a hosting's deployments, the newest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take of which."""
        parser = super().get_parser(prog_name)
        take_hosting(parser)
        take_limit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[Row]]:
        """List."""
        reference = reference_of(self.client, parsed_args.hosting, parsed_args.agency)
        path = f"/v1/hostings/{reference}/deployments"
        columns = {
            "ID": "id",
            "Number": "number",
            "Status": "status",
            "Release": "release",
            "Rollback Of": "rollback_of",
            "Reason": "reason",
            "Created At": "created_at",
        }
        return table(columns, self.client.list_all(path, parsed_args.limit))


class ShowDeployment(ShowOne):
    """Show a deployment and what came of it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Take which."""
        parser = super().get_parser(prog_name)
        parser.add_argument("deployment", metavar="<deployment>", help="ID of the deployment")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Row]:
        """Show."""
        return facts(self.client.get(f"/v1/deployments/{parsed_args.deployment}"), FIELDS)
