"""The states of hostings and requests, one line per transition. Pure."""

from enum import StrEnum


class HostingStatus(StrEnum):
    """What the owner, the invoice and the API see; the engine's steps are another matter."""

    REQUESTED = "requested"  # waits for a decision
    CANCELLED = "cancelled"  # rejected or withdrawn; nothing was made
    BUILDING = "building"
    ACTIVE = "active"  # seen through the edge with this deployment's nonce
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
