"""Prepared images of a region: which there are, and which of them can be believed."""

from typing import Any

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.openstack.tenants import Tenants
from control_plane.ports.cloud.port import Image, ServerSpec

Document = dict[str, Any]


class Images:
    """The images that servers of a region are made from."""

    def __init__(self, api: Api, tenants: Tenants) -> None:
        self._api, self._tenants = api, tenants

    def list_prepared(self) -> list[Image]:
        """Return the prepared images, the newest of a family first."""
        query = {"sort": "created_at:desc", "status": "active"}
        # From a project that is no tenant's: Glance knows no domains.
        images = self._api.service("image", self._tenants.own_project())
        return [
            Image(one["edubba_family"], one["edubba_digest"])
            for one in images.list("/images", "images", **query)
            if one.get("edubba_digest") and one.get("edubba_family") and self._is_trusted(one)
        ]

    def find(self, spec: ServerSpec) -> Document:
        """Return what a server is to be made from. Raises Refused (`image_missing`)."""
        images = self._api.service("image", self._tenants.project(spec.tenant_id))
        query = {"edubba_digest": spec.image, "status": "active", "sort": "created_at:asc"}
        for found in images.list("/images", "images", **query):
            if self._is_trusted(found):
                return found
        raise Refused("image_missing", image=spec.image)

    def _is_trusted(self, image: Document) -> bool:
        """Whether an image is the cloud's own or ours: anybody may name a digest on his."""
        is_clouds_own = image["visibility"] == "public"  # which takes an administrator
        return is_clouds_own or str(image["owner"]) == self._tenants.own_project()
