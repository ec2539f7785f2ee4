"""The states of hostings and requests, one line per transition. Pure."""

from datetime import timedelta
from enum import StrEnum

from control_plane.engine.birth import Birth
from control_plane.hosting.rules.problems import HostingMoveRefused, RequestMoveRefused

# Born with the request for it, so that waiting for a decision has a deadline too.
LIFE = Birth("hosting", 1, "await_decision", deadline=timedelta(days=3))


class HostingStatus(StrEnum):
    """What the owner, the invoice and the API see; the engine's steps are another matter."""

    REQUESTED = "requested"  # waits for a decision
    CANCELLED = "cancelled"  # rejected or withdrawn; nothing was made
    BUILDING = "building"
    ACTIVE = "active"  # seen through the edge with this deployment's nonce
    SUSPENDED = "suspended"  # closed by its agency or the data centre: a page says so, data is kept
    QUARANTINED = "quarantined"  # an isolation probe failed: out of service, nothing lost
    FAILED = "failed"  # its life stopped; a person is needed
    ENDING = "ending"
    ENDED = "ended"  # out of service; data is kept until `purge_after`
    PURGED = "purged"  # nothing is left


class RequestKind(StrEnum):
    """What is asked for."""

    CREATE = "create"
    CHANGE = "change"
    END = "end"
    RESTORE = "restore"  # of what has ended and is kept still


class RequestStatus(StrEnum):
    """`fulfilled` when the fact was observed."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    FULFILLED = "fulfilled"
    ABANDONED = "abandoned"


class Answer(StrEnum):
    """One decider's answer to one version of a request."""

    APPROVE = "approve"
    REJECT = "reject"


_H, _R = HostingStatus, RequestStatus

HOSTING_MOVES: dict[tuple[HostingStatus, HostingStatus], str] = {
    (_H.REQUESTED, _H.BUILDING): "approved, and what was approved is still what would be made",
    (_H.REQUESTED, _H.CANCELLED): "rejected, withdrawn or given up before anything was made",
    (_H.REQUESTED, _H.FAILED): "its life stopped before anything was made",
    (_H.BUILDING, _H.ACTIVE): "seen through the edge, and found isolated",
    (_H.BUILDING, _H.QUARANTINED): "built, but not isolated",
    (_H.BUILDING, _H.FAILED): "its life stopped while building",
    (_H.BUILDING, _H.ENDING): "given up while building",
    (_H.ACTIVE, _H.QUARANTINED): "a probe from inside reached what it must not reach",
    (_H.ACTIVE, _H.FAILED): "its life stopped while mending it",
    (_H.ACTIVE, _H.ENDING): "its ending was approved",
    (_H.ACTIVE, _H.SUSPENDED): "closed, and its visitors were seen to read so",
    (_H.SUSPENDED, _H.ACTIVE): "opened again, and seen through the edge",
    (_H.SUSPENDED, _H.QUARANTINED): "opened again, but not isolated",
    (_H.SUSPENDED, _H.FAILED): "its life stopped while it was closed",
    (_H.SUSPENDED, _H.ENDING): "its ending was approved while it was closed",
    (_H.QUARANTINED, _H.SUSPENDED): "closed while it was out of service",
    (_H.QUARANTINED, _H.ACTIVE): "a later probe found it isolated, and it was seen again",
    (_H.QUARANTINED, _H.FAILED): "its life stopped while it was out of service",
    (_H.QUARANTINED, _H.ENDING): "its ending was approved while it was out of service",
    (_H.FAILED, _H.BUILDING): "somebody let a life that stopped early try again",
    (_H.FAILED, _H.ACTIVE): "tried again, and seen through the edge",
    (_H.FAILED, _H.SUSPENDED): "tried again, and closed as wished",
    (_H.FAILED, _H.QUARANTINED): "tried again, and found not isolated",
    (_H.FAILED, _H.CANCELLED): "given up before anything was made",
    (_H.FAILED, _H.ENDING): "given up, or its ending was approved",
    (_H.FAILED, _H.ENDED): "tried again while ending, and out of service now",
    (_H.ENDING, _H.ENDED): "out of service; its data is kept until `purge_after`",
    (_H.ENDING, _H.FAILED): "its life stopped while ending",
    (_H.ENDED, _H.BUILDING): "brought back before its time to be kept was over",
    (_H.ENDED, _H.PURGED): "its time to be kept was over, and nothing is left",
}

REQUEST_MOVES: dict[tuple[RequestStatus, RequestStatus], str] = {
    (_R.SUBMITTED, _R.APPROVED): "a decider who may, other than the submitter, or a policy",
    (_R.SUBMITTED, _R.REJECTED): "a decider said no, and why",
    (_R.SUBMITTED, _R.WITHDRAWN): "its agency took it back",
    (_R.SUBMITTED, _R.ABANDONED): "an operator gave it up",
    (_R.APPROVED, _R.SUBMITTED): "what would be made has changed since: to be decided anew",
    (_R.APPROVED, _R.FULFILLED): "the fact was observed",
    (_R.APPROVED, _R.ABANDONED): "given up, or overtaken by the hosting's ending",
}

# A hosting in one of these can be asked to end; before, its request is withdrawn instead.
ENDABLE = frozenset({_H.BUILDING, _H.ACTIVE, _H.SUSPENDED, _H.QUARANTINED, _H.FAILED})
SUSPENDABLE = frozenset({_H.ACTIVE, _H.QUARANTINED})
# What runs in such a one writes no other state any more: its end was decided meanwhile.
LEAVING = frozenset({_H.CANCELLED, _H.ENDING, _H.ENDED, _H.PURGED})
GONE = frozenset({_H.CANCELLED, _H.ENDED, _H.PURGED})  # their names are free again
OPEN = frozenset({_R.SUBMITTED, _R.APPROVED})


def move_hosting(present: str, to: HostingStatus) -> HostingStatus:
    """Return `to` if a hosting may go there. Raises: HostingMoveRefused."""
    if (HostingStatus(present), to) not in HOSTING_MOVES:
        raise HostingMoveRefused(present=str(present), to=to.value)
    return to


def move_request(present: str, to: RequestStatus) -> RequestStatus:
    """Return `to` if a request may go there. Raises: RequestMoveRefused."""
    if (RequestStatus(present), to) not in REQUEST_MOVES:
        raise RequestMoveRefused(present=str(present), to=to.value)
    return to
