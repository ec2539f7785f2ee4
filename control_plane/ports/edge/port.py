"""The edge: the only thing citizens talk to, and the only thing that reaches a tenant.

Maps and certificates are rebuilt from rows at any time: the edge remembers nothing that the
database does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Protocol

# Where a server gives the nonce of its live deployment, read back through the edge by `verify`.
NONCE_PATH = "/.well-known/edubba/deployment"


class RouteState(StrEnum):
    """What a visitor of a hostname gets; all but `serving` are pages of ours."""

    SERVING = "serving"
    BUILDING = "building"
    SUSPENDED = "suspended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Route:
    """One hostname (lower case, IDNA-encoded): what a visitor gets, and from which server."""

    hostname: str
    state: RouteState
    address: IPv4Address | None = None  # always set when serving
    port: int = 80


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for `name` (`*.zone` for a wildcard) with its chain and key, in PEM."""

    name: str
    chain_pem: str
    key_pem: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the edge answered to a visitor; the body is cut at 64 KiB, header names lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Edge(Protocol):
    """Raises `Unavailable`; blocking; safe to call from several threads."""

    def ensure_route(self, route: Route) -> None:
        """Serve the hostname so from now on, and after a restart of the edge too."""

    def remove_route(self, hostname: str) -> None:
        """Forget the hostname: its visitors get the page for unknown ones."""

    def list_routes(self) -> Iterable[Route]:
        """List what the running edge (not a file) does now."""

    def replace_routes(self, routes: Iterable[Route]) -> None:
        """Make exactly these the routes: what is lacking is added, what is foreign removed."""

    def ensure_certificate(self, certificate: Certificate) -> None:
        """Serve this certificate from now on, and after a restart of the edge too."""

    def observe(self, hostname: str, path: str = "/") -> Answer:
        """Ask the edge over HTTPS as a visitor would, checking the certificate."""
