"""What an administrator finds in a cloud of the projects that a run made, gone ones too."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from tests.openstack.fast import sure
from tests.openstack.proxy import Call
from tests.waiting import wait_until

# All of it but `default`, which each project has, and which only an administrator may remove.
NETWORK = {
    "network": "networks",
    "subnet": "subnets",
    "router": "routers",
    "port": "ports",
    "security_group": "security-groups",
    "floatingip": "floatingips",
}
SERVICES = {"server": ("compute", "servers"), "project": ("identity", "projects")}


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is there."""

    kind: str
    name: str
    id: str
    project_id: str


class Inventory:
    """Lists the cloud itself, past the adapter and past the proxy."""

    def __init__(self, admin: Connection) -> None:
        self._admin = admin

    def of(self, installation: str, projects: set[str]) -> list[Found]:
        """Return what is in these projects, and what carries the installation's tag elsewhere."""
        tag = f"edubba:{installation}:"
        found = [
            Found("project", one["name"], one["id"], one["id"])
            for one in self._get("identity", "/projects", "projects")
            if one["id"] in projects or one["description"].startswith(tag)
        ]
        for kind, path in NETWORK.items():
            for one in self._get("network", f"/{path}", path.replace("-", "_")):
                is_ours = one["project_id"] in projects or one["description"].startswith(tag)
                if is_ours and not _is_the_clouds_own(kind, one):
                    name = one["name"] if kind != "floatingip" else _wired_to(one)
                    found.append(Found(kind, name, one["id"], one["project_id"]))
        found += self._servers(installation, projects)
        for one in self._get("identity", "/role_assignments", "role_assignments"):
            project_id = one["scope"].get("project", {}).get("id")
            if project_id in projects:
                found.append(Found("role", one["user"]["id"], one["role"]["id"], project_id))
        groups = self._get("compute", "/os-server-groups?all_projects=true", "server_groups")
        found += [
            Found("server_group", one["name"], one["id"], one["project_id"])
            for one in groups
            if one["project_id"] in projects
        ]
        return found

    def keypairs(self) -> list[str]:
        """Return the names of key pairs: Edubba makes none."""
        found = self._get("compute", "/os-keypairs", "keypairs")
        return [one["keypair"]["name"] for one in found]

    def remove(self, installation: str, projects: set[str]) -> None:
        """Remove what a run that failed left, and the groups that each project leaves."""
        left = self.of(installation, projects)
        self._delete_all(left, "server", "floatingip")
        wait_until(lambda: not self._servers(installation, projects), timeout_s=60)
        for router in (one.id for one in left if one.kind == "router"):
            for port in self._get("network", f"/ports?device_id={router}", "ports"):
                path = f"/routers/{router}/remove_router_interface"
                self._admin.network.put(path, json={"port_id": port["id"]})
        groups = [
            Found("security_group", one["name"], one["id"], one["project_id"])
            for one in self._get("network", "/security-groups", "security_groups")
            if one["project_id"] in projects
        ]
        self._delete_all(left, "router", "port", "network", "project")
        self._delete_all(groups, "security_group")

    def _delete_all(self, found: list[Found], *kinds: str) -> None:
        for kind in kinds:
            service, path = SERVICES.get(kind, ("network", NETWORK.get(kind, "")))
            for one in found:
                if one.kind == kind:
                    getattr(self._admin, service).delete(f"/{path}/{one.id}")

    def _servers(self, installation: str, projects: set[str]) -> list[Found]:
        tag = f"edubba:{installation}:"
        return [
            Found("server", one["name"], one["id"], one["tenant_id"])
            for one in self._get("compute", "/servers/detail?all_tenants=1", "servers")
            if one["tenant_id"] in projects or one["metadata"].get("edubba", "").startswith(tag)
        ]

    def _get(self, service: str, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = sure(getattr(self._admin, service).get(path)).json()[key]
        return found


def doubles(found: list[Found]) -> list[str]:
    """Return what is there more than once under one name."""
    counted = Counter((one.kind, one.name, one.project_id) for one in found if one.name)
    return [f"{kind} {name}" for (kind, name, _), count in counted.items() if count > 1]


def projects_made(calls: list[Call]) -> set[str]:
    """Return the ids of all projects that were made, of whose making nobody may have been told."""
    made = [one for one in calls if one.method == "POST" and one.path.endswith("/projects")]
    return {json.loads(one.body)["project"]["id"] for one in made if one.status == 201}


def _is_the_clouds_own(kind: str, one: dict[str, Any]) -> bool:
    return kind == "security_group" and one["name"] == "default"


def _wired_to(address: dict[str, Any]) -> str:
    """Return what a floating address would be a second one of."""
    return str(address["port_id"] or address["floating_ip_address"])
