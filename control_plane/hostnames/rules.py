"""What may be a hostname, and the states of one. Pure."""

from enum import StrEnum


class HostnameStatus(StrEnum):
    """`claimed` with the request, `serving` once seen through the edge, `released` at the end."""

    CLAIMED = "claimed"
    SERVING = "serving"
    RELEASED = "released"
