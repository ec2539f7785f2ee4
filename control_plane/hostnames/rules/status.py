"""The states of a hostname, one line per transition. Pure."""

from enum import StrEnum
from typing import ClassVar

from control_plane.kit.errors import Problem


class HostnameStatus(StrEnum):
    """`claimed` with the request, `serving` once seen through the edge, `released` at the end."""

    CLAIMED = "claimed"
    SERVING = "serving"
    RELEASED = "released"


_C, _S, _R = HostnameStatus.CLAIMED, HostnameStatus.SERVING, HostnameStatus.RELEASED

TRANSITIONS: dict[tuple[HostnameStatus, HostnameStatus], str] = {
    (_C, _S): "its hosting was seen through the edge under this name",
    (_C, _R): "the request came to nothing",
    (_S, _R): "its hosting ended",
}


def move(present: str, to: HostnameStatus) -> HostnameStatus:
    """Return `to` if a hostname may go there. Raises: HostnameMoveRefused."""
    if (HostnameStatus(present), to) not in TRANSITIONS:
        raise HostnameMoveRefused(present=str(present), to=to.value)
    return to


class HostnameMoveRefused(Problem):
    """A hostname can't go from its present state to that one."""

    code: ClassVar[str] = "hostname_move_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hostname that is {present} can't become {to}"
    mend: ClassVar[str] = "Read it again: it may have changed since you looked."
