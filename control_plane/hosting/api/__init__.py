"""The doors to requests, hostings, declared wishes, deployments and runs."""

from control_plane.hosting.api import (
    attachments,
    deployments,
    hostings,
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
)
__all__ = ["ROUTERS"]
