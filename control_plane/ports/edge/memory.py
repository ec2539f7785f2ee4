"""An edge in memory: same routes, pages and status codes, no proxy and no network."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address
from threading import Lock
from uuid import uuid4

from control_plane.kit.errors import Unavailable
from control_plane.ports.edge import pages
from control_plane.ports.edge.pages import Page
from control_plane.ports.edge.port import Answer, Certificate, Route, RouteState
from control_plane.ports.edge.rules import (
    check_certificate_name,
    check_hostname,
    check_path,
    check_route,
)
from control_plane.ports.edge.visitor import BODY_MAX

Served = tuple[int, Mapping[str, str], bytes]
AskServer = Callable[[IPv4Address, int, str], Served]


class MemoryEdge:
    """Implements `Edge`. `ask` speaks for the servers: `(address, port, path)` to what they say.

    A server that is not there raises `OSError` or `Unavailable`. A hostname is only answered if
    a certificate for it was given, as a visitor's browser would have it.
    """

    def __init__(self, ask: AskServer) -> None:
        self._ask = ask
        self._lock = Lock()
        self._routes: dict[str, Route] = {}
        self._certificates: dict[str, Certificate] = {}

    def ensure_route(self, route: Route) -> None:
        """Serve the hostname so from now on."""
        with self._lock:
            self._routes[check_route(route).hostname] = route

    def remove_route(self, hostname: str) -> None:
        """Forget the hostname; nothing happens if it is not known."""
        with self._lock:
            self._routes.pop(check_hostname(hostname), None)

    def list_routes(self) -> Iterable[Route]:
        """List what is served now."""
        with self._lock:
            return list(self._routes.values())

    def replace_routes(self, routes: Iterable[Route]) -> None:
        """Make exactly these the routes."""
        wanted = {check_route(route).hostname: route for route in routes}
        with self._lock:
            self._routes = wanted

    def ensure_certificate(self, certificate: Certificate) -> None:
        """Serve this certificate from now on."""
        with self._lock:
            self._certificates[check_certificate_name(certificate.name)] = certificate

    def observe(self, hostname: str, path: str = "/") -> Answer:
        """Answer as the real edge would. Raises Unavailable without a fitting certificate."""
        check_hostname(hostname)
        check_path(path)
        with self._lock:
            _, _, parent = hostname.partition(".")
            if not {hostname, f"*.{parent}"} & self._certificates.keys():
                raise Unavailable("edge_unreachable", reason=f"no certificate for {hostname}")
            route = self._routes.get(hostname)
        if route is None:
            return _page(pages.UNKNOWN)
        if route.state is not RouteState.SERVING or route.address is None:
            return _page(pages.STATE_PAGES.get(route.state, pages.FAILED))
        try:
            status, headers, body = self._ask(route.address, route.port, path)
        except (OSError, Unavailable):
            return _page(pages.UNREACHABLE, 503)
        own = {name.lower(): value for name, value in headers.items()}
        return Answer(status, {**own, **_edge_headers(str(uuid4()))}, body[:BODY_MAX])


def _page(page: Page, status: int | None = None) -> Answer:
    reference = str(uuid4())
    body = pages.render(page, reference).encode()
    headers = {
        **pages.headers_of(page),
        **_edge_headers(reference),
        "content-type": pages.CONTENT_TYPE,
    }
    return Answer(status or page.status, headers, body)


def _edge_headers(request_id: str) -> dict[str, str]:
    return {"x-request-id": request_id, "strict-transport-security": "max-age=31536000"}
