"""A tenant's project, its quotas and its network: made, adopted, mended, removed.

Quotas allow one network, one subnet and one router, so that an answer that was lost makes no second
one, but for what is asked for at the same moment: the next look removes the younger of two. Names
are unique within a project because one life alone makes them.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.openstack.sdk import Api, Conflict, Service
from control_plane.ports.cloud.openstack.wishes import (
    CLOUDS_OWN,
    GATEWAY,
    NETWORK,
    RegionSettings,
    Rule,
    base_rules,
    compute_quota,
    network_quota,
    project_tags,
)
from control_plane.ports.cloud.port import TenantSpec

Document = dict[str, Any]
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Space:
    """A tenant's project with what its servers are plugged into."""

    project_id: str
    network_id: str
    subnet_id: str
    group_id: str


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do independent calls side by side; return their results, or raise the first failure."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [pool.submit(work) for work in works]
        return [future.result() for future in futures]


class Tenants:
    """The tenants of a region."""

    def __init__(self, api: Api, settings: RegionSettings) -> None:
        self._api, self._settings = api, settings
        self._lock = threading.Lock()
        self._projects: dict[str, str] = {}
        self._spaces: dict[str, Space] = {}
        self._known: dict[str, str] = {}  # ids of what does not change: a role, a network, us
        api.let_in = self._join

    def ensure(self, spec: TenantSpec) -> Space:
        """Make or mend all of it; a second time nothing is made.

        In a project that was made just now nothing is looked up: its name is unique, and nobody
        else can have made anything in it.
        """
        project_id, is_new = self._ensure_project(spec)
        self._join(project_id)
        self._set_network_quota(project_id, is_new=is_new)  # before anything that it allows once
        name, rules = spec.tenant_id, base_rules(self._settings)
        _, (network_id, subnet_id), router_id, group_id = at_once(
            lambda: self._set_compute_quota(project_id),
            lambda: self._ensure_network(project_id, name, is_new=is_new),
            lambda: self._ensure_router(project_id, name, is_new=is_new),
            lambda: self.ensure_group(project_id, name, rules, is_new=is_new),
        )
        space = Space(project_id, network_id, subnet_id, group_id)
        self._plug(space, router_id, is_new=is_new)
        with self._lock:
            self._spaces[spec.tenant_id] = space
        return space

    def space(self, tenant_id: str) -> Space:
        """Return a tenant's space. Raises Refused (`tenant_missing`)."""
        with self._lock:
            known = self._spaces.get(tenant_id)
        if known is not None:
            return known
        project_id = self.project(tenant_id)
        network = self._network(project_id)
        found, groups = at_once(
            lambda: _networks(network, tenant_id),
            lambda: _oldest_first(
                network.list("/security-groups", "security_groups", name=tenant_id)
            ),
        )
        if not (found and found[0]["subnets"] and groups):
            raise Refused("tenant_missing", tenant=tenant_id)
        ids = (found[0]["id"], found[0]["subnets"][0], groups[0]["id"])
        with self._lock:
            return self._spaces.setdefault(tenant_id, Space(project_id, *ids))

    def project(self, tenant_id: str) -> str:
        """Return the id of a tenant's project. Raises Refused (`tenant_missing`)."""
        with self._lock:
            known = self._projects.get(tenant_id)
        if known is not None:
            return known
        found = self._find_project(tenant_id)
        if found is None:
            raise Refused("tenant_missing", tenant=tenant_id)
        with self._lock:
            return self._projects.setdefault(tenant_id, str(found["id"]))

    def list_projects(self) -> list[Document]:
        """Return the projects that carry our tag."""
        query = {"domain_id": self._api.domain_id, "tags": "edubba"}
        found = self._api.service("identity").list("/projects", "projects", **query)
        return [one for one in found if self._settings.is_ours(one["description"])]

    def own_project(self) -> str:
        """Return the project that is ours and no tenant's: images are looked at from there."""

        def ensure() -> str:
            identity, name = self._api.service("identity"), f"{self._settings.installation}-worker"
            query = {"name": name, "domain_id": self._api.domain_id}
            found = _first(identity.list("/projects", "projects", **query))
            if found is None:
                wish = {**query, "description": self._settings.tag, "tags": ["edubba-worker"]}
                found = identity.post("/projects", {"project": wish})["project"]
            self._join(str(found["id"]))
            return str(found["id"])

        return self._once("project", ensure)

    def external_network(self, project_id: str) -> str:
        """Return the id of the network that floating addresses come from."""
        name = self._settings.external_network

        def find() -> str:
            query = {"router:external": "true", "name": name}
            found = _first(self._network(project_id).list("/networks", "networks", **query))
            if found is None:
                raise Refused("external_network_missing", network=name)
            return str(found["id"])

        return self._once("external", find)

    def ensure_group(
        self,
        project_id: str,
        name: str,
        rules: Iterable[Rule],
        tag: str | None = None,
        *,
        is_new: bool = False,
    ) -> str:
        """Make a security group or mend its rules; return its id."""
        network, wish = self._network(project_id), frozenset(rules)
        found = network.list("/security-groups", "security_groups", name=name)
        known = [] if is_new else _oldest_first(found)
        if known:
            group, *doubles = known
        else:
            wished = {"name": name, "description": tag or self._settings.tag}
            group = network.post("/security-groups", {"security_group": wished})["security_group"]
            doubles = []
        for one in doubles:  # names are not unique: an answer was lost that came late
            self.remove_group(project_id, one["id"])
        seen = {Rule.seen(rule): rule["id"] for rule in group["security_group_rules"]}
        for rule in group["security_group_rules"]:
            if Rule.seen(rule) not in wish or seen[Rule.seen(rule)] != rule["id"]:
                network.delete(f"/security-group-rules/{rule['id']}")
        missing = [one.document(group["id"]) for one in sorted(wish - seen.keys(), key=str)]
        if missing:
            network.post("/security-group-rules", {"security_group_rules": missing})
        return str(group["id"])

    def list_groups(self, project_id: str) -> list[Document]:
        """Return a project's security groups, the oldest first."""
        found = self._network(project_id).list("/security-groups", "security_groups")
        return _oldest_first(found)

    def find_groups(self, project_id: str) -> dict[str, Document]:
        """Return a project's security groups by name; of doubles, the one that is used."""
        return {one["name"]: one for one in reversed(self.list_groups(project_id))}

    def remove_group(self, project_id: str, group_id: str) -> None:
        """Remove a security group that no port is in."""
        self._network(project_id).delete(f"/security-groups/{group_id}")

    def destroy(self, tenant_id: str) -> None:
        """Remove all of it. Raises Refused (`tenant_not_empty`) while a server is there."""
        found = self._find_project(tenant_id)
        if found is None:
            return
        project_id = str(found["id"])
        self._join(project_id)
        if list(self._api.service("compute", project_id).list("/servers", "servers")):
            raise Refused("tenant_not_empty", tenant=tenant_id)
        self._destroy_network(project_id)
        self._api.service("identity").delete(f"/projects/{project_id}")
        with self._lock:
            self._projects.pop(tenant_id, None)
            self._spaces.pop(tenant_id, None)
        self._api.forget(project_id)

    def _destroy_network(self, project_id: str) -> None:
        network, own = self._network(project_id), {"project_id": project_id}
        for kind in ("floatingips", "routers", "ports", "networks", "security-groups"):
            for one in list(network.list(f"/{kind}", kind.replace("-", "_"), **own)):
                if kind == "routers":
                    self._unplug(network, one["id"])
                if not _is_the_clouds_own(kind, one):
                    network.delete(f"/{kind}/{one['id']}")

    def _unplug(self, network: Service, router_id: str) -> None:
        for port in list(network.list("/ports", "ports", device_id=router_id)):
            if _is_of_a_router(port):
                path = f"/routers/{router_id}/remove_router_interface"
                network.put(path, {"port_id": port["id"]})

    def _ensure_project(self, spec: TenantSpec) -> tuple[str, bool]:
        """Return the id of a tenant's project, and whether it was made just now."""
        found = self._find_project(spec.tenant_id)
        is_new = found is None
        if found is None:
            wish = {
                "name": self._settings.project_name(spec.tenant_id),
                "domain_id": self._api.domain_id,
                "description": self._settings.tag,
                "tags": project_tags(self._settings, spec),
            }
            found = self._api.service("identity").post("/projects", {"project": wish})["project"]
        with self._lock:
            if self._projects.get(spec.tenant_id) != found["id"]:
                self._spaces.pop(spec.tenant_id, None)
            self._projects[spec.tenant_id] = str(found["id"])
        return str(found["id"]), is_new

    def _set_compute_quota(self, project_id: str) -> None:
        wish = {"quota_set": compute_quota(self._settings)}
        self._api.service("compute", project_id).put(f"/os-quota-sets/{project_id}", wish)

    def _set_network_quota(self, project_id: str, *, is_new: bool) -> None:
        network, path = self._network(project_id), f"/quotas/{project_id}"
        wish = network_quota(self._settings)
        # Written again where there are two of something, it would be refused.
        if is_new or not wish.items() <= network.get(path)["quota"].items():
            network.put(path, {"quota": wish})

    def _ensure_network(self, project_id: str, name: str, *, is_new: bool) -> tuple[str, str]:
        """Return the ids of a tenant's network and of its subnet."""
        network = self._network(project_id)
        known = [] if is_new else _networks(network, name)
        for double in known[1:]:  # neutron counts what is asked for at once as one
            network.delete(f"/networks/{double['id']}")
        if known:
            found = known[0]
        else:
            wish = {"name": name, "description": self._settings.tag}
            found = _make_only(network, "/networks", {"network": wish})["network"]
        if found["subnets"]:
            return str(found["id"]), str(found["subnets"][0])
        subnet = {
            "network_id": found["id"],
            "name": name,
            "description": self._settings.tag,
            "ip_version": 4,
            "cidr": str(NETWORK),
            "gateway_ip": str(GATEWAY),
            "allocation_pools": [{"start": str(CLOUDS_OWN[0]), "end": str(CLOUDS_OWN[1])}],
        }
        made = _make_only(network, "/subnets", {"subnet": subnet})
        return str(found["id"]), str(made["subnet"]["id"])

    def _ensure_router(self, project_id: str, name: str, *, is_new: bool) -> str:
        network = self._network(project_id)
        known = [] if is_new else _oldest_first(network.list("/routers", "routers", name=name))
        for double in known[1:]:
            self._unplug(network, double["id"])
            network.delete(f"/routers/{double['id']}")
        if known:
            return str(known[0]["id"])
        wish = {
            "name": name,
            "description": self._settings.tag,
            "external_gateway_info": {"network_id": self.external_network(project_id)},
        }
        return str(_make_only(network, "/routers", {"router": wish})["router"]["id"])

    def _plug(self, space: Space, router_id: str, *, is_new: bool) -> None:
        """See that the router is in the subnet."""
        network = self._network(space.project_id)
        ports = [] if is_new else network.list("/ports", "ports", device_id=router_id)
        if any(_is_in(port, space.subnet_id) for port in ports):
            return
        try:
            path = f"/routers/{router_id}/add_router_interface"
            network.put(path, {"subnet_id": space.subnet_id})
        except Conflict as conflict:
            if "already" not in conflict.facts["why"]:
                raise

    def _join(self, project_id: str) -> None:
        """Give ourselves the role with which all in a project is made."""
        path = f"/projects/{project_id}/users/{self._user()}/roles/{self._role()}"
        self._api.service("identity").put(path)

    def _find_project(self, tenant_id: str) -> Document | None:
        query = {
            "name": self._settings.project_name(tenant_id),
            "domain_id": self._api.domain_id,
        }
        return _first(self._api.service("identity").list("/projects", "projects", **query))

    def _role(self) -> str:
        name = self._settings.role

        def find() -> str:
            role = _first(self._api.service("identity").list("/roles", "roles", name=name))
            if role is None:
                raise Refused("cloud_role_missing", role=name)
            return str(role["id"])

        return self._once("role", find)

    def _user(self) -> str:
        return self._once("user", self._api.user_id)

    def _once(self, what: str, find: Callable[[], str]) -> str:
        with self._lock:
            known = self._known.get(what)
        return known or self._known.setdefault(what, find())

    def _network(self, project_id: str) -> Service:
        return self._api.service("network", project_id)


def _make_only(network: Service, path: str, document: Document) -> Document:
    """Make what the quota allows once. Raises Conflict where it is there, or about to be.

    It was not, a moment ago: what was asked for before, and not answered, comes now.
    """
    try:
        return network.post(path, document)
    except Refused as refused:
        there = "overlaps with another subnet" in refused.facts["why"]
        if refused.code != "cloud_quota_exceeded" and not there:
            raise
        raise Conflict("cloud_changed", call=f"POST {path}", **refused.facts) from refused


def _oldest_first(found: Iterable[Document]) -> list[Document]:
    return sorted(found, key=lambda one: (one["created_at"], one["id"]))


def _networks(network: Service, name: str) -> list[Document]:
    """Return networks of a name, first the one that has a subnet, or the oldest."""
    found = _oldest_first(network.list("/networks", "networks", name=name))
    return sorted(found, key=lambda one: not one["subnets"])


def _first(found: Iterable[Document]) -> Document | None:
    return next(iter(found), None)


def _is_in(port: Document, subnet_id: str) -> bool:
    addresses: Sequence[Document] = port["fixed_ips"]
    return any(one["subnet_id"] == subnet_id for one in addresses)


def _is_of_a_router(one: Document) -> bool:
    return str(one.get("device_owner", "")).startswith("network:router_interface")


def _is_the_clouds_own(kind: str, one: Document) -> bool:
    """Whether something goes by itself: a network's DHCP, and the group that each project has."""
    is_default = kind == "security-groups" and one["name"] == "default"
    return is_default or str(one.get("device_owner", "")).startswith("network:")
