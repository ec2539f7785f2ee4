"""Servers of a region: a port with an address of its own, a machine on it, a floating address.

A port's fixed address is the server's allocation, which the cloud gives out once; a machine is
made on that port, and a port takes one machine: an answer that was lost can't make a second.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address
from typing import Any

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.openstack.guests import Door
from control_plane.ports.cloud.openstack.images import Images
from control_plane.ports.cloud.openstack.machines import (
    DATA,
    HOST_KEY,
    NEXT,
    STOPPED,
    Machine,
    in_order,
)
from control_plane.ports.cloud.openstack.sdk import Api, Conflict, Missing, Service
from control_plane.ports.cloud.openstack.tenants import Space, Tenants, at_once
from control_plane.ports.cloud.openstack.wishes import (
    RegionSettings,
    base_rules,
    choose_flavor,
    server_metadata,
)
from control_plane.ports.cloud.port import ServerSpec

Document = dict[str, Any]
_CONSOLE_LINES = 400
_TRIES = 20  # of a change that others come before; each wire changes a port once
_HOST_KEY = re.compile(r"^EDUBBA-HOST-KEY (ssh-ed25519 [A-Za-z0-9+/=]{50,100})\s*$", re.MULTILINE)


class Servers:
    """The servers of a region."""

    def __init__(self, api: Api, settings: RegionSettings, tenants: Tenants) -> None:
        self._api, self._settings, self._tenants = api, settings, tenants
        self._images = Images(api, tenants)
        self._lock = threading.Lock()
        self._places: dict[str, str] = {}  # server to tenant
        self._flavors: list[Document] = []

    def find(self, server_id: str, tenant_id: str | None = None) -> Machine | None:
        """Return a server; one whose tenant is not known is looked for in all of them."""
        place = tenant_id or self.place(server_id)
        return next(iter(self.find_all(server_id, place)), None) if place else None

    def find_all(self, server_id: str, tenant_id: str) -> list[Machine]:
        """Return the machines of a server: the one that serves comes first.

        Beside it can be its successor or its predecessor. And where an answer was lost and came
        late, a second was asked for, which the port refuses; the cloud keeps it as one that it
        gave up.
        """
        project_id = self._tenants.project(tenant_id)
        query = {"name": f"^{re.escape(server_id)}({re.escape(NEXT)})?$"}
        listed = self._compute(project_id).list("/servers/detail", "servers", **query)
        return in_order(Machine(tenant_id, project_id, one) for one in listed)

    def get(self, machine: Machine) -> Machine | None:
        """Look at a server again."""
        try:
            found = self._compute(machine.project_id).get(f"/servers/{machine.id}")["server"]
        except Missing:
            return None
        return Machine(machine.tenant_id, machine.project_id, found)

    def everything(self) -> Iterator[Machine]:
        """Yield the servers of all tenants; a successor is a machine of its own."""
        projects = self._tenants.list_projects()
        listed = at_once(*(lambda one=one: self._of_project(one["id"]) for one in projects))
        for project, documents in zip(projects, listed, strict=True):
            tenant_id = self._settings.tenant_of(project["name"])
            for document in documents:
                with self._lock:
                    self._places[document["name"].removesuffix(NEXT)] = tenant_id
                yield Machine(tenant_id, project["id"], document)

    def make(self, spec: ServerSpec, user_ca: str, suffix: str = "") -> Machine:
        """Make what is missing of a server; what is there of an earlier try is taken.

        With the suffix NEXT, its successor, which has an address of its own until it serves.
        """
        space = self._tenants.space(spec.tenant_id)
        image, flavor, (port, is_new) = at_once(
            lambda: self._images.find(spec),
            lambda: self._flavor(spec),
            lambda: self._make_port(space, spec, suffix),
        )
        if DATA in port["tags"]:
            raise Refused("server_vanished", server=spec.server_id, port=port["id"])
        with self._lock:
            self._places[spec.server_id] = spec.tenant_id
        wish = {
            "name": spec.server_id + suffix,
            "imageRef": image["id"],
            "flavorRef": flavor["id"],
            "networks": [{"port": port["id"]}],
            "metadata": server_metadata(self._settings, spec),
            "user_data": _user_data(spec, user_ca),
            "config_drive": self._settings.with_config_drive,
        }
        compute = self._compute(space.project_id)
        made, _ = at_once(
            lambda: compute.post("/servers", {"server": wish})["server"],
            lambda: self._ensure_address(space, port["id"], is_new=is_new),
        )
        seen = {"id": made["id"], "status": "BUILD", "addresses": {}}
        return Machine(spec.tenant_id, space.project_id, {**wish, **seen})

    def mend(self, machine: Machine, spec: ServerSpec) -> None:
        """See that nothing but what is wished for gets in or out, and that it can be reached."""
        space = self._tenants.space(spec.tenant_id)
        group, port = at_once(
            lambda: self._tenants.ensure_group(
                space.project_id, spec.tenant_id, base_rules(self._settings)
            ),
            lambda: self._ensure_port(space, spec),
        )
        if group not in port["security_groups"] or not port["port_security_enabled"]:
            self.change_port(space.project_id, port, join={group})
        if machine.holds_data and DATA not in port["tags"]:  # a port of ours was replaced
            self.mark_data(machine)
        if machine.address is None:
            self._ensure_address(space, port["id"])
        if machine.status == "ACTIVE" and port["device_id"] != machine.id:
            self.act(machine, "os-stop")  # somebody pulled the plug
            raise Conflict("cloud_changed", why="a server is being stopped to be plugged in")
        if machine.status in STOPPED:
            self.plug(machine, port)

    def ensure_port(self, spec: ServerSpec) -> Document:
        """Make a server's port, or return it."""
        return self._ensure_port(self._tenants.space(spec.tenant_id), spec)

    def act(self, machine: Machine, action: str, about: Any = None) -> Document:
        """Ask for an action, as `os-start`; one that is under way already is as good."""
        path = f"/servers/{machine.id}/action"
        try:
            return self._compute(machine.project_id).post(path, {action: about})
        except Conflict:
            return {}

    def pin_host_key(self, machine: Machine) -> bool:
        """Read a new server's host key from its console and write it down; False: not said yet.

        Only before any of the tenant's code has run there can the console be believed.
        """
        if machine.holds_data:
            raise Refused("host_key_lost", server=machine.server_id)
        console = self.act(machine, "os-getConsoleOutput", {"length": _CONSOLE_LINES})
        found = _HOST_KEY.findall(str(console.get("output", "")))
        if found:
            self.write(machine, {HOST_KEY: found[-1]})
        return bool(found)

    def write(self, machine: Machine, metadata: Mapping[str, str]) -> None:
        """Write something on a server that we are to know it by."""
        path = f"/servers/{machine.id}/metadata"
        self._compute(machine.project_id).post(path, {"metadata": dict(metadata)})
        machine.document["metadata"].update(metadata)

    def erase(self, machine: Machine, *names: str) -> None:
        """Erase what was written on a server."""
        for name in names:
            if name in machine.metadata:
                self._compute(machine.project_id).delete(f"/servers/{machine.id}/metadata/{name}")
                del machine.document["metadata"][name]

    def mark_data(self, machine: Machine) -> None:
        """Write down that a machine holds something of the tenant's.

        On its port, too: that is left where somebody removes the machine, and tells of the loss.
        """
        port = self.port(machine)
        if port is not None:
            self._network(machine.project_id).put(f"/ports/{port['id']}/tags/{DATA}")
        self.write(machine, {DATA: "1"})

    def port(self, machine: Machine) -> Document | None:
        """Return a server's port."""
        return self._port(machine.project_id, machine.server_id)

    def find_door(self, machine: Machine) -> Door | None:
        """Return the way into a machine that runs.

        Nova learns of a floating address by a message, which it misses where it was just building
        the server, and looks by itself some minutes later: the network knows it at once.
        """
        if machine.status != "ACTIVE":
            return None
        port = next(iter(self.plugged(machine)), None) if machine.address is None else None
        found = self._floating(machine.project_id, port["id"]) if port is not None else None
        if found is not None:
            machine.floating = IPv4Address(found["floating_ip_address"])
        return machine.door

    def plug(self, machine: Machine, port: Document) -> None:
        """Plug a port into a machine that is stopped; nothing happens where it is its own."""
        if port["device_id"] != machine.id:
            path = f"/servers/{machine.id}/os-interface"
            wish = {"interfaceAttachment": {"port_id": port["id"]}}
            self._compute(machine.project_id).post(path, wish)

    def unplug(self, machine: Machine, port: Document) -> None:
        """Ask for a port to be taken off a machine."""
        path = f"/servers/{machine.id}/os-interface/{port['id']}"
        self._compute(machine.project_id).delete(path)

    def plugged(self, machine: Machine) -> list[Document]:
        """Return the ports that are plugged into a machine."""
        network = self._network(machine.project_id)
        return list(network.list("/ports", "ports", device_id=machine.id))

    def rename(self, machine: Machine) -> None:
        """Give a successor its predecessor's name, once that is gone."""
        path, wish = f"/servers/{machine.id}", {"server": {"name": machine.server_id}}
        self._compute(machine.project_id).put(path, wish)
        machine.document["name"] = machine.server_id

    def ports(self, project_id: str) -> list[Document]:
        """Return the ports of a project."""
        return list(self._network(project_id).list("/ports", "ports", project_id=project_id))

    def neighbours(self, server_id: str, tenant_id: str) -> list[tuple[str, str]]:
        """Return the other servers of a tenant, each with its address in the tenant's network."""
        project_id = self._tenants.project(tenant_id)
        return [
            (port["name"], port["fixed_ips"][0]["ip_address"])
            for port in self.ports(project_id)
            if port["device_owner"].startswith("compute:") and port["name"] != server_id
        ]

    def change_port(
        self,
        project_id: str,
        port: Document,
        join: AbstractSet[str] = frozenset(),
        leave: AbstractSet[str] = frozenset(),
    ) -> None:
        """Let a port join and leave groups; nothing else can be sent or received.

        Several wires of a server may change at once: each wish is for the revision it was read at.
        """
        network, path = self._network(project_id), f"/ports/{port['id']}"
        for tries_left in reversed(range(_TRIES)):
            groups = sorted((join | set(port["security_groups"])) - leave)
            wish = {"port": {"security_groups": groups, "port_security_enabled": True}}
            try:
                network.put(path, wish, revision=port["revision_number"])
            except Conflict:
                if not tries_left:
                    raise
                port = network.get(path)["port"]
            else:
                return

    def remove(self, machine: Machine) -> None:
        """Ask for the end of a machine."""
        self._compute(machine.project_id).delete(f"/servers/{machine.id}")

    def remove_rest(self, name: str, tenant_id: str) -> None:
        """Remove what a machine that is gone leaves: its address and its port."""
        network = self._network(self._tenants.project(tenant_id))
        ports = [one["id"] for one in network.list("/ports", "ports", name=name)]
        of_ours = {"description": self._settings.tag}
        for one in list(network.list("/floatingips", "floatingips", **of_ours)):
            if one["port_id"] is None or one["port_id"] in ports:  # None: its port was removed
                network.delete(f"/floatingips/{one['id']}")
        for port in ports:
            network.delete(f"/ports/{port}")

    def forget(self, server_id: str) -> None:
        """Forget where a server was that is gone."""
        with self._lock:
            self._places.pop(server_id, None)

    def place(self, server_id: str) -> str | None:
        """Return the tenant of a server, or of the port that is left of it, as far as is known."""
        known = self.known_place(server_id)
        if known is not None:
            return known
        found = (one.tenant_id for one in self.everything() if one.server_id == server_id)
        return next(found, None) or self._place_of_port(server_id)

    def known_place(self, server_id: str) -> str | None:
        """Return the tenant of a server that this process made or saw."""
        with self._lock:
            return self._places.get(server_id)

    def _place_of_port(self, server_id: str) -> str | None:
        projects = self._tenants.list_projects()
        ports = at_once(*(lambda one=one: self._port(one["id"], server_id) for one in projects))
        places = zip(projects, ports, strict=True)
        return next((self._settings.tenant_of(one["name"]) for one, port in places if port), None)

    def _port(self, project_id: str, server_id: str) -> Document | None:
        return next(self._network(project_id).list("/ports", "ports", name=server_id), None)

    def _of_project(self, project_id: str) -> list[Document]:
        return list(self._compute(project_id).list("/servers/detail", "servers"))

    def _flavor(self, spec: ServerSpec) -> Mapping[str, Any]:
        if not self._flavors:
            compute = self._compute(self._tenants.project(spec.tenant_id))
            self._flavors = list(compute.list("/flavors/detail", "flavors"))
        try:
            return choose_flavor(self._flavors, spec.limits)
        except Refused:
            self._flavors = []  # an operator may add one
            raise

    def _ensure_port(self, space: Space, spec: ServerSpec) -> Document:
        return self._port(space.project_id, spec.server_id) or self._make_port(space, spec)[0]

    def _make_port(self, space: Space, spec: ServerSpec, suffix: str = "") -> tuple[Document, bool]:
        """Return a server's port, and whether it was made just now.

        A subnet gives an address out once, but a successor takes any.
        """
        network, name = self._network(space.project_id), spec.server_id + suffix
        address = {"subnet_id": space.subnet_id}
        found = self._port(space.project_id, name) if suffix else None
        if found is not None:
            return found, False
        if not suffix:
            address["ip_address"] = str(spec.address)
        wish = {
            "network_id": space.network_id,
            "name": name,
            "description": self._settings.tag,
            "fixed_ips": [address],
            "security_groups": [space.group_id],
        }
        try:
            return network.post("/ports", {"port": wish})["port"], True
        except Conflict:
            query = {"fixed_ips": f"ip_address={spec.address}"}
            holder = next(network.list("/ports", "ports", **query), None)
            if holder is None or suffix:
                raise
        if holder["name"] != name:
            raise Refused("allocation_taken", serial=spec.serial, by=holder["name"])
        return holder, False

    def _ensure_address(self, space: Space, port_id: str, *, is_new: bool = False) -> None:
        if not is_new and self._floating(space.project_id, port_id) is not None:
            return
        wish = {
            "floating_network_id": self._tenants.external_network(space.project_id),
            "port_id": port_id,
            "description": self._settings.tag,
        }
        self._network(space.project_id).post("/floatingips", {"floatingip": wish})

    def _floating(self, project_id: str, port_id: str) -> Document | None:
        found = self._network(project_id).list("/floatingips", "floatingips", port_id=port_id)
        return next(found, None)

    def _compute(self, project_id: str) -> Service:
        return self._api.service("compute", project_id)

    def _network(self, project_id: str) -> Service:
        return self._api.service("network", project_id)


def _user_data(spec: ServerSpec, user_ca: str) -> str:
    limits = spec.limits
    about = {
        "format": 1,
        "server_id": spec.server_id,
        "user_ca": user_ca,
        "limits": {
            "memory_mib": limits.memory_mib,
            "cpu_millis": limits.cpu_millis,
            "pids": limits.pids,
            "disk_mib": limits.disk_mib,
        },
    }
    return base64.b64encode(json.dumps(about).encode()).decode()
