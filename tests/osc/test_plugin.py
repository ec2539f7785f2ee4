"""What pyproject.toml plugs into `openstack` is there, and can be called."""

import argparse
import importlib
import tomllib

import pytest

from control_plane.osc import plugin
from tests.osc.world import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMMANDS = PROJECT["entry-points"]["openstack.hosting.v1"]


def test_the_group_is_found_by_the_version_that_its_client_speaks() -> None:
    assert PROJECT["entry-points"]["openstack.cli.extension"] == {"hosting": plugin.__name__}
    groups = {f"openstack.{plugin.API_NAME}.v{version}" for version in plugin.API_VERSIONS}
    assert groups <= PROJECT["entry-points"].keys()
    assert plugin.DEFAULT_API_VERSION in plugin.API_VERSIONS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_what_it_takes(name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)(None, argparse.Namespace())
    said = command.get_parser(f"openstack {name.replace('_', ' ')}").format_help()
    assert command.get_description() in " ".join(said.split())


def test_an_endpoint_that_is_told_wins_over_the_catalogue() -> None:
    parser = plugin.build_option_parser(argparse.ArgumentParser())
    told = parser.parse_args(["--os-hosting-endpoint", "https://edubba.example"])
    assert told.os_hosting_endpoint_override == "https://edubba.example"
