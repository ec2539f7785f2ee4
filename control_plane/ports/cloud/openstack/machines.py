"""What a region tells of servers: a machine, and the one beside it while one succeeds another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.openstack.guests import Door

Document = dict[str, Any]
DATA, HOST_KEY = "edubba_data", "edubba_host_key"
SERVES = "edubba_serves"  # a successor has the tenant's data, and nobody else is to serve again
NEXT = ".next"  # ends the name of a successor and of its port, until its predecessor is gone
STOPPED = frozenset({"SHUTOFF", "PAUSED", "SUSPENDED"})
_LOST = frozenset({"ERROR", "DELETED", "SOFT_DELETED"})


@dataclass(slots=True)
class Machine:
    """A server as the cloud tells of it."""

    tenant_id: str
    project_id: str
    document: Document = field(repr=False)
    floating: IPv4Address | None = None  # as the network has it

    @property
    def id(self) -> str:
        """The cloud's own id."""
        return str(self.document["id"])

    @property
    def server_id(self) -> str:
        """Our id."""
        return self.name.removesuffix(NEXT)

    @property
    def name(self) -> str:
        """Our id, and whether it is to take the place of the one that bears it alone."""
        return str(self.document["name"])

    @property
    def is_successor(self) -> bool:
        """Whether it bears a successor's name."""
        return self.name.endswith(NEXT)

    @property
    def status(self) -> str:
        """The cloud's word for its state, as `ACTIVE`."""
        return str(self.document["status"])

    @property
    def metadata(self) -> Mapping[str, str]:
        """What we wrote on it."""
        known: Mapping[str, str] = self.document["metadata"]
        return known

    @property
    def holds_data(self) -> bool:
        """Whether anything of the tenant's may be on it."""
        return DATA in self.metadata

    @property
    def address(self) -> IPv4Address | None:
        """Its floating address, once it is seen: the cloud may be slow to tell it of a server."""
        for addresses in self.document["addresses"].values():
            for one in addresses:
                if one.get("OS-EXT-IPS:type") == "floating":
                    return IPv4Address(one["addr"])
        return self.floating

    @property
    def door(self) -> Door | None:
        """The way in, once its host key is pinned and it has an address."""
        key, address = self.metadata.get(HOST_KEY), self.address
        return Door(self.server_id, address, key) if key and address else None


def in_order(machines: Iterable[Machine]) -> list[Machine]:
    """Return a server's machines: first the one that serves, as its predecessor never does again.

    Of several that were asked for in one place, that is the one which is not lost, or the oldest.
    """

    def place(one: Machine) -> tuple[bool, bool, bool, str]:
        serves, created = SERVES in one.metadata, str(one.document["created"])
        return (not serves, one.is_successor != serves, is_lost(one), created)

    return sorted(machines, key=place)


def is_lost(machine: Machine) -> bool:
    """Whether the cloud gave a server up."""
    return machine.status in _LOST


def refuse_lost(machine: Machine) -> Refused:
    """Return what to say of a server that the cloud gave up."""
    why = str(machine.document.get("fault", {}).get("message", ""))[:300]
    full = "No valid host" in why or "Exhausted all hosts" in why
    return Refused("cloud_full" if full else "server_failed", server=machine.server_id, why=why)
