"""The states of a deployment, one line per transition, and when one may be asked for."""

from datetime import timedelta
from enum import StrEnum

from control_plane.engine.birth import Birth
from control_plane.releases.rules.problems import TransitionRefusedError

# The life that collects what no release uses any more; there is one in an installation.
GC_BIRTH = Birth("gc", 1, "collect", timedelta(hours=2))


class DeploymentStatus(StrEnum):
    """`superseded` was live once; `failed` never was, and left the one before it in place."""

    QUEUED = "queued"
    RUNNING = "running"
    LIVE = "live"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = DeploymentStatus
TRANSITIONS: frozenset[tuple[DeploymentStatus, DeploymentStatus]] = frozenset(
    {
        (_S.QUEUED, _S.RUNNING),  # the hosting's life took it up
        (_S.QUEUED, _S.CANCELLED),  # a newer one was asked for before it began
        (_S.QUEUED, _S.FAILED),  # it could not even begin
        (_S.RUNNING, _S.LIVE),  # its nonce was read through the edge
        (_S.RUNNING, _S.FAILED),  # the check failed, or it could not be delivered
        (_S.RUNNING, _S.CANCELLED),  # a newer one was asked for before the switch
        (_S.LIVE, _S.SUPERSEDED),  # another one is live now
    }
)
FINAL = frozenset({_S.SUPERSEDED, _S.FAILED, _S.CANCELLED})

# Statuses of a hosting (as text: hostings are a room above) in which it takes a new deployment.
DEPLOYABLE = frozenset({"building", "active"})


def move(present: str, to: DeploymentStatus) -> DeploymentStatus:
    """Return `to` if a deployment may go there. Raises TransitionRefusedError."""
    if (DeploymentStatus(present), to) not in TRANSITIONS:
        raise TransitionRefusedError(present, to)
    return to
