"""What an edge accepts: names and routes that can't mean anything else to the proxy.

Everything that reaches the proxy's runtime interface or its files passes here first.
"""

import re

from control_plane.kit.errors import Refused
from control_plane.ports.edge.port import Route, RouteState

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# Lower case, at least two labels, the last one not a number: never an address (RFC 1123).
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")
_PORT_MAX = 65_535


def check_hostname(hostname: str) -> str:
    """Return the hostname. Raises Refused (`hostname_malformed`)."""
    if _HOSTNAME.fullmatch(hostname) is None:
        raise Refused("hostname_malformed", hostname=hostname[:253])
    return hostname


def check_certificate_name(name: str) -> str:
    """Return a hostname or `*.` and one. Raises Refused (`hostname_malformed`)."""
    check_hostname(name.removeprefix("*."))
    return name


def check_route(route: Route) -> Route:
    """Return the route. Raises Refused (`hostname_malformed`, `route_incomplete`)."""
    check_hostname(route.hostname)
    lacks_address = route.state is RouteState.SERVING and route.address is None
    if lacks_address or not 1 <= route.port <= _PORT_MAX:
        raise Refused("route_incomplete", hostname=route.hostname)
    return route


def check_path(path: str) -> str:
    """Return an absolute path of visible ASCII. Raises Refused (`path_malformed`)."""
    if not path.startswith("/") or not all("!" <= letter <= "~" for letter in path):
        raise Refused("path_malformed", path=path[:200])
    return path
