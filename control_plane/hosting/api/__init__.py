"""The doors to requests, hostings, declared wishes, deployments, runs and logs."""

from control_plane.hosting.api import (
    attachments,
    deployments,
    hostings,
    logs,
    requests,
    runs,
    settings,
    wishes,
)

ROUTERS = (
    requests.router,
    hostings.router,
    settings.router,
    wishes.router,
    deployments.router,
    attachments.router,
    runs.router,
    logs.router,
)
__all__ = ["ROUTERS"]
