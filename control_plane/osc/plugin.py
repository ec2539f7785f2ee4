"""How `openstack hosting …` is plugged into python-openstackclient; the commands are beside it.

The platform is found in Keystone's catalogue as the service type `hosting`, or where
`--os-hosting-endpoint` says, which a clouds.yaml may say as `hosting_endpoint_override`.
"""

import argparse
import os
import ssl
from collections.abc import Iterator
from typing import Any

import httpx2

from control_plane.cli.client import Client, require_encryption
from control_plane.cli.exits import Code, Stop
from control_plane.cli.terminal import tr

DEFAULT_API_VERSION = "1"
API_VERSION_OPTION = "os_hosting_api_version"
API_NAME = "hosting"
API_VERSIONS = ("1",)


class KeystoneToken(httpx2.Auth):
    """Shows the token of an OpenStack session, a new one when the old one is about to end."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def auth_flow(self, request: httpx2.Request) -> Iterator[httpx2.Request]:  # type: ignore[override]
        """Show it."""
        request.headers["X-Auth-Token"] = self._session.get_token()
        yield request


def make_client(instance: Any) -> Client:
    """Return the platform's API as the client of `edubba` speaks it. Raises: Stop."""
    place = {"region_name": instance.region_name, "interface": instance.interface or "public"}
    if instance.is_service_available(API_NAME, **place) is False:  # None: there is no catalogue
        raise Stop(
            Code.USAGE,
            "endpoint_missing",
            tr("Keystone's catalogue has no service of the type hosting"),
            tr("Say where the platform is with --os-hosting-endpoint."),
        )
    endpoint = instance.get_endpoint_for_service_type(API_NAME, **place)
    url = endpoint.rstrip("/").removesuffix("/v1")
    require_encryption(url)
    token = KeystoneToken(instance.session)
    return Client(url, token, verify=_trust(instance), told_by="--os-hosting-endpoint")


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options that all commands of `openstack hosting` have."""
    parser.add_argument(
        "--os-hosting-api-version",
        metavar="<hosting-api-version>",
        default=os.environ.get("OS_HOSTING_API_VERSION"),
        help=f"Hosting API version, default={DEFAULT_API_VERSION} (Env: OS_HOSTING_API_VERSION)",
    )
    parser.add_argument(
        "--os-hosting-endpoint",
        metavar="<url>",
        dest="os_hosting_endpoint_override",
        default=os.environ.get("OS_HOSTING_ENDPOINT"),
        help="Where the platform is, instead of the catalogue (Env: OS_HOSTING_ENDPOINT)",
    )
    return parser


def _trust(instance: Any) -> ssl.SSLContext | bool:
    if instance.cacert:
        return ssl.create_default_context(cafile=instance.cacert)
    return bool(instance.verify)  # False with --insecure
