"""The doors to requests, hostings, declared wishes and deployments."""

from control_plane.hosting.api import deployments, hostings, requests, settings, wishes

ROUTERS = (requests.router, hostings.router, settings.router, wishes.router, deployments.router)
__all__ = ["ROUTERS"]
