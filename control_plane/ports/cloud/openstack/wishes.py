"""What is wished for in a region, as pure values: settings, names, rules, sizes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.port import Limits, ServerSpec, TenantSpec, WireSpec

# RFC 6598, as allocations have it: each server's address is its own in the region. What the cloud
# itself needs in a tenant's network (the router, DHCP) comes from the end of the range.
NETWORK = IPv4Network("100.64.0.0/10")
GATEWAY = IPv4Address("100.127.255.254")
CLOUDS_OWN = (IPv4Address("100.127.255.1"), IPv4Address("100.127.255.250"))
METADATA = IPv4Network("169.254.169.254/32")
PORT, SSH, DHCP = 80, 22, 67
MIB_OF_GIB = 1024


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """What an operator says of one region.

    `edge` and `configurator` are the networks from which the edge and the worker with its runner
    come; nothing else gets into a tenant.
    """

    installation: str
    epoch: int
    external_network: str
    edge: tuple[IPv4Network, ...]
    configurator: tuple[IPv4Network, ...]
    role: str = "member"
    servers_max: int = 50
    with_config_drive: bool = False

    @property
    def tag(self) -> str:
        """The description of all that is ours and of this epoch."""
        return f"edubba:{self.installation}:{self.epoch}"

    def is_ours(self, description: str) -> bool:
        """Whether a description is a tag of this installation, of whatever epoch."""
        return description.startswith(f"edubba:{self.installation}:")

    def project_name(self, tenant_id: str) -> str:
        """Return the name of a tenant's project, which is unique in the domain."""
        return f"{self.installation}-{tenant_id}"

    def tenant_of(self, project_name: str) -> str:
        """Return whose project it is."""
        return project_name.removeprefix(f"{self.installation}-")


def epoch_of(tag: str) -> int:
    """Return the epoch that a tag names; 0 where it names none."""
    parts = tag.split(":")
    return int(parts[2]) if len(parts) > 2 and parts[2].isdecimal() else 0  # noqa: PLR2004


def project_tags(settings: RegionSettings, spec: TenantSpec) -> list[str]:
    """Return the tags of a tenant's project."""
    return ["edubba", settings.tag, f"agency:{spec.agency_id}"]


def server_metadata(settings: RegionSettings, spec: ServerSpec) -> dict[str, str]:
    """Return what a server is known by; values are 255 characters at most."""
    return {
        "edubba": settings.tag,
        "edubba_server": spec.server_id,
        "edubba_tenant": spec.tenant_id,
        "edubba_image": spec.image,
        "edubba_serial": str(spec.serial),
        "edubba_limits": limits_told(spec.limits),
        "edubba_disk_mib": str(spec.limits.disk_mib),
    }


def limits_told(limits: Limits) -> str:
    """Return limits as they are written on a server, which was told them once for all."""
    parts = (limits.memory_mib, limits.cpu_millis, limits.pids, limits.disk_mib)
    return "/".join(str(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a security group lets through; all of it is one port over IPv4."""

    direction: str
    peer: str
    port: int
    protocol: str = "tcp"

    @classmethod
    def seen(cls, rule: Mapping[str, Any]) -> "Rule | None":
        """Return a rule as the cloud tells it; None for one that we never make."""
        is_one_port = rule["port_range_min"] == rule["port_range_max"]
        if rule["ethertype"] != "IPv4" or not rule["protocol"] or not is_one_port:
            return None
        if not rule["remote_ip_prefix"] or rule.get("remote_group_id"):
            return None
        peer = IPv4Network(rule["remote_ip_prefix"])
        return cls(rule["direction"], str(peer), int(rule["port_range_min"]), rule["protocol"])

    def document(self, group_id: str) -> dict[str, Any]:
        """Return the rule as the cloud is asked for it."""
        return {
            "security_group_id": group_id,
            "direction": self.direction,
            "ethertype": "IPv4",
            "protocol": self.protocol,
            "port_range_min": self.port,
            "port_range_max": self.port,
            "remote_ip_prefix": self.peer,
        }


def base_rules(settings: RegionSettings) -> frozenset[Rule]:
    """Return what each server of a tenant lets through: the edge, the configurator, metadata.

    DHCP is named, too: OVN answers it itself, but only what a rule lets out reaches OVN.
    """
    rules = {Rule("ingress", str(one), PORT) for one in settings.edge}
    rules |= {Rule("ingress", str(one), SSH) for one in settings.configurator}
    rules |= {Rule("egress", f"{one}/32", DHCP, "udp") for one in ("255.255.255.255", GATEWAY)}
    return frozenset({*rules, Rule("egress", str(METADATA), PORT)})


def wire_tag(settings: RegionSettings, spec: WireSpec) -> str:
    """Return the description of a wire's group, which says whose it is."""
    return f"{settings.tag}:{spec.from_server}:{spec.to_server}:{spec.port}"


def wire_ends(description: str) -> tuple[str, ...]:
    """Return the two servers and the port that a wire's group names."""
    return tuple(description.split(":")[3:])


def wire_rules(spec: WireSpec, asking: IPv4Address, answering: IPv4Address) -> frozenset[Rule]:
    """Return what a wire lets through: from the one server, to the one port of the other."""
    return frozenset(
        {
            Rule("egress", f"{answering}/32", spec.port),
            Rule("ingress", f"{asking}/32", spec.port),
        }
    )


def network_quota(settings: RegionSettings) -> dict[str, int]:
    """Return what a tenant may have of the network: one of each, so that none is made twice."""
    most = settings.servers_max + 1  # a successor
    return {
        "network": 1,
        "subnet": 1,
        "router": 1,
        "floatingip": most,
        "port": 2 * most + 10,
        "security_group": 2 + 2 * most,
        "security_group_rule": 20 + 4 * most,
    }


def compute_quota(settings: RegionSettings) -> dict[str, int]:
    """Return what a tenant may have of compute; what it costs is reserved by the product."""
    most = settings.servers_max + 1  # a successor
    return {"instances": most, "cores": 4 * most, "ram": 8192 * most}


def choose_flavor(flavors: Iterable[Mapping[str, Any]], limits: Limits) -> Mapping[str, Any]:
    """Return the smallest flavor that holds a server. Raises Refused (`flavor_missing`)."""
    cores = math.ceil(limits.cpu_millis / 1000)
    disk = math.ceil(limits.disk_mib / MIB_OF_GIB)
    fitting = [
        one
        for one in flavors
        if one["ram"] >= limits.memory_mib and one["vcpus"] >= cores and one["disk"] >= disk
    ]
    if not fitting:
        wish = {"memory_mib": limits.memory_mib, "cores": cores, "disk_gib": disk}
        raise Refused("flavor_missing", **wish)
    return min(fitting, key=lambda one: (one["ram"], one["vcpus"], one["disk"], one["name"]))
