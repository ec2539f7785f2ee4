"""The doors to requests, hostings, declared wishes and deployments."""

from control_plane.hosting.api import deployments, requests, wishes

ROUTERS = (requests.router, wishes.router, deployments.router)
__all__ = ["ROUTERS"]
