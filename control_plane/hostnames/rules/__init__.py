"""What may be a hostname, and the states of one. Pure."""

from control_plane.hostnames.rules.looks import look_of, script_of
from control_plane.hostnames.rules.names import (
    RESERVED,
    HostnameForeign,
    HostnameLookalike,
    HostnameMalformed,
    HostnameReserved,
    HostnameTaken,
    Name,
    parse_hostname,
)
from control_plane.hostnames.rules.status import (
    TRANSITIONS,
    HostnameMoveRefused,
    HostnameStatus,
    move,
)

__all__ = [
    "RESERVED",
    "TRANSITIONS",
    "HostnameForeign",
    "HostnameLookalike",
    "HostnameMalformed",
    "HostnameMoveRefused",
    "HostnameReserved",
    "HostnameStatus",
    "HostnameTaken",
    "Name",
    "look_of",
    "move",
    "parse_hostname",
    "script_of",
]
