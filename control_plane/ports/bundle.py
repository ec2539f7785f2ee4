"""The ports of a process, as its composition root put them together."""

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.kit.errors import Unavailable
from control_plane.ports.automation.port import Automation
from control_plane.ports.blobs.port import Blobs
from control_plane.ports.cloud.port import Cloud
from control_plane.ports.edge.port import Edge
from control_plane.ports.keyring.port import Keyring


@dataclass(frozen=True, slots=True)
class Ports:
    """One adapter a port, and one cloud a region (by region id)."""

    clouds: Mapping[str, Cloud]
    edge: Edge
    blobs: Blobs
    keyring: Keyring
    automation: Automation

    def cloud(self, region_id: str) -> Cloud:
        """Return the region's cloud. Raises Unavailable where this worker has no such region."""
        try:
            return self.clouds[region_id]
        except KeyError:
            raise Unavailable("region_not_configured", region=region_id) from None
