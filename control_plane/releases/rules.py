"""What a release may contain, and the states of a deployment. Pure."""

from enum import StrEnum


class DeploymentStatus(StrEnum):
    """`superseded` was live once; `failed` never was, and left the one before it in place."""

    QUEUED = "queued"
    RUNNING = "running"
    LIVE = "live"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"
