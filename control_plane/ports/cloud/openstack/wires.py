"""Wires: a security group that both servers' ports are in, and that opens one port of one of them.

All servers of a tenant share a network in which nothing is let through but what a group names.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.openstack.machines import Machine
from control_plane.ports.cloud.openstack.servers import Servers
from control_plane.ports.cloud.openstack.tenants import Tenants
from control_plane.ports.cloud.openstack.wishes import (
    RegionSettings,
    Rule,
    wire_ends,
    wire_rules,
    wire_tag,
)
from control_plane.ports.cloud.port import WireFact, WireSpec

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _End:
    machine: Machine
    port: Document

    @property
    def address(self) -> IPv4Address:
        return IPv4Address(self.port["fixed_ips"][0]["ip_address"])

    def is_in(self, group_id: str) -> bool:
        return group_id in self.port["security_groups"]


class Wires:
    """The wires of a region."""

    def __init__(self, settings: RegionSettings, tenants: Tenants, servers: Servers) -> None:
        self._settings, self._tenants, self._servers = settings, tenants, servers

    def ensure(self, spec: WireSpec) -> WireFact:
        """Make or mend a wire; see the port."""
        asking, answering = (self._end(spec, one) for one in (spec.from_server, spec.to_server))
        project_id, tag = asking.machine.project_id, wire_tag(self._settings, spec)
        known = self._tenants.find_groups(project_id).get(spec.wire_id)
        if known is not None and wire_ends(known["description"])[:2] != wire_ends(tag)[:2]:
            raise Refused("wire_identity_changed", wire=spec.wire_id)
        rules = wire_rules(spec, asking.address, answering.address)
        group = self._tenants.ensure_group(project_id, spec.wire_id, rules, tag)
        for end in (asking, answering):
            if not end.is_in(group):
                self._servers.change_port(project_id, end.port, join={group})
        return WireFact(spec.wire_id, answering.address, is_whole=True)

    def observe(self, spec: WireSpec) -> WireFact:
        """Say what is there of a wire."""
        project_id = self._tenants.project(spec.tenant_id)
        known = self._tenants.list_groups(project_id)
        groups = [one for one in known if one["name"] == spec.wire_id]
        if not groups:
            return WireFact(spec.wire_id, None, is_whole=False)
        group = groups[0]
        try:
            asking, answering = (self._end(spec, one) for one in (spec.from_server, spec.to_server))
        except (Refused, Unavailable):
            peers = [_peer(one) for one in group["security_group_rules"] if _is_egress(one)]
            return WireFact(spec.wire_id, peers[0] if peers else None, is_whole=False)
        seen = {Rule.seen(rule) for rule in group["security_group_rules"]}
        is_whole = (
            len(groups) == 1
            and seen == wire_rules(spec, asking.address, answering.address)
            and asking.is_in(group["id"])
            and answering.is_in(group["id"])
        )
        return WireFact(spec.wire_id, answering.address, is_whole)

    def remove(self, wire_id: str) -> None:
        """Close a wire, in whichever tenant it is."""
        for project in self._tenants.list_projects():
            groups = self._tenants.list_groups(project["id"])
            self._forget(project["id"], [one for one in groups if one["name"] == wire_id])

    def opened_to(self, server_id: str, tenant_id: str) -> set[tuple[str, int]]:
        """Return the addresses and ports that wires open to a server."""
        project_id = self._tenants.project(tenant_id)
        groups = self._tenants.find_groups(project_id).values()
        mine = [one for one in groups if wire_ends(one["description"])[:1] == (server_id,)]
        seen = {Rule.seen(rule) for group in mine for rule in group["security_group_rules"]}
        known = [one for one in seen if one is not None and one.direction == "egress"]
        return {(one.peer.partition("/")[0], one.port) for one in known}

    def close_all_of(self, server_id: str, tenant_id: str, *, for_good: bool) -> None:
        """Close the wires of a server; `for_good` forgets them, too."""
        project_id = self._tenants.project(tenant_id)
        groups = [
            group
            for group in self._tenants.list_groups(project_id)
            if server_id in wire_ends(group["description"])[:2]
        ]
        if for_good:
            self._forget(project_id, groups)
        elif groups:
            self._unplug(project_id, groups)

    def _forget(self, project_id: str, groups: list[Document]) -> None:
        """Remove groups, once no port is in them."""
        if groups:
            self._unplug(project_id, groups)
        for group in groups:
            self._tenants.remove_group(project_id, group["id"])

    def _unplug(self, project_id: str, groups: list[Document]) -> None:
        """Take ports out of groups."""
        gone = {group["id"] for group in groups}
        ends = {end for group in groups for end in wire_ends(group["description"])[:2]}
        for port in self._servers.ports(project_id):
            if port["name"] in ends and gone & set(port["security_groups"]):
                self._servers.change_port(project_id, port, leave=gone)

    def _end(self, spec: WireSpec, server_id: str) -> _End:
        if spec.from_server == spec.to_server:
            raise Refused("wire_refused", wire=spec.wire_id)
        place = self._servers.place(server_id)
        if place is not None and place != spec.tenant_id:
            raise Refused("wire_refused", wire=spec.wire_id)
        machine = self._servers.find(server_id, place)
        port = self._servers.port(machine) if machine is not None else None
        if machine is None or port is None or machine.status != "ACTIVE":
            raise Unavailable("server_unreachable", server=server_id)
        return _End(machine, port)


def _is_egress(rule: Document) -> bool:
    return str(rule["direction"]) == "egress"


def _peer(rule: Document) -> IPv4Address:
    return IPv4Address(str(rule["remote_ip_prefix"]).partition("/")[0])
