"""The doors to requests, hostings, declared wishes and deployments."""

from control_plane.hosting.api import deployments, requests

ROUTERS = (requests.router, deployments.router)
__all__ = ["ROUTERS"]
