"""What a script needs that knows what it wants: the fewest calls, side by side where they can be.

It looks nothing up that it can know, trusts each answer, and would leave things behind after a
failure: a measure for the adapter, not an example.
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from control_plane.ports.cloud.openstack.sdk import COMPUTE_VERSION, Api
from control_plane.ports.cloud.openstack.wishes import (
    CLOUDS_OWN,
    GATEWAY,
    NETWORK,
    RegionSettings,
    base_rules,
    compute_quota,
    network_quota,
    project_tags,
    server_metadata,
)
from control_plane.ports.cloud.port import ServerSpec, TenantSpec

LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Known:
    """Ids that a script has at hand after its first tenant."""

    user: str
    role: str
    external: str
    image: str
    flavor: str


class Bare:
    """Makes tenants with one server each."""

    def __init__(self, api: Api, region: RegionSettings, known: Known) -> None:
        self._api, self._region, self._known = api, region, known
        self._domain = api._connect(None)

    def make(self, tenant: TenantSpec, spec: ServerSpec) -> float:
        """Make both; return the seconds until the server is active and has an address."""
        begun = time.monotonic()
        about = {
            "name": self._region.project_name(tenant.tenant_id),
            "domain_id": self._api.domain_id,
            "description": self._region.tag,
            "tags": project_tags(self._region, tenant),
        }
        identity = self._domain.identity
        project = _done(identity.post("/projects", json={"project": about}))["project"]["id"]
        path = f"/projects/{project}/users/{self._known.user}/roles/{self._known.role}"
        _done(identity.put(path))
        _Tenant(self._api._connect(project), self._region, self._known, project).make(tenant, spec)
        return time.monotonic() - begun


class _Tenant:
    def __init__(
        self, connection: Any, region: RegionSettings, known: Known, project_id: str
    ) -> None:
        self._connection, self._region, self._known = connection, region, known
        self._project_id = project_id

    def make(self, tenant: TenantSpec, spec: ServerSpec) -> None:
        # Neutron counts what is being made; its quota comes first, as for the adapter.
        quota = {"quota": network_quota(self._region)}
        _done(self._connection.network.put(f"/quotas/{self._project_id}", json=quota))
        with ThreadPoolExecutor(8) as pool:
            limits = pool.submit(self._quota)
            subnet = pool.submit(self._network, tenant.tenant_id)
            router = pool.submit(self._router, tenant.tenant_id)
            group = pool.submit(self._group, tenant.tenant_id)
            network_id, subnet_id = subnet.result()
            wish = {"subnet_id": subnet_id}
            path = f"/routers/{router.result()}/add_router_interface"
            plugged = pool.submit(lambda: _done(self._connection.network.put(path, json=wish)))
            port = self._post("ports", "port", self._port(spec, network_id, group.result()))
            limits.result()
            server = pool.submit(self._server, spec, port["id"])
            plugged.result()
            address = {
                "floating_network_id": self._known.external,
                "port_id": port["id"],
                "description": self._region.tag,
            }
            self._post("floatingips", "floatingip", address)
            self._await(server.result())

    def _quota(self) -> None:
        path = f"/os-quota-sets/{self._project_id}"
        wish = {"quota_set": compute_quota(self._region)}
        _done(self._connection.compute.put(path, json=wish, microversion=COMPUTE_VERSION))

    def _network(self, name: str) -> tuple[str, str]:
        about = {"name": name, "description": self._region.tag}
        network = self._post("networks", "network", about)["id"]
        first, last = CLOUDS_OWN
        subnet = {
            **about,
            "network_id": network,
            "ip_version": 4,
            "cidr": str(NETWORK),
            "gateway_ip": str(GATEWAY),
            "allocation_pools": [{"start": str(first), "end": str(last)}],
        }
        return network, self._post("subnets", "subnet", subnet)["id"]

    def _router(self, name: str) -> str:
        gateway = {"network_id": self._known.external}
        about = {
            "name": name,
            "description": self._region.tag,
            "external_gateway_info": gateway,
        }
        return str(self._post("routers", "router", about)["id"])

    def _group(self, name: str) -> str:
        network = self._connection.network
        about = {"name": name, "description": self._region.tag}
        group = self._post("security-groups", "security_group", about)
        for rule in group["security_group_rules"]:
            network.delete(f"/security-group-rules/{rule['id']}").raise_for_status()
        rules = [one.document(group["id"]) for one in base_rules(self._region)]
        _done(network.post("/security-group-rules", json={"security_group_rules": rules}))
        return str(group["id"])

    def _port(self, spec: ServerSpec, network_id: str, group_id: str) -> dict[str, Any]:
        return {
            "network_id": network_id,
            "name": spec.server_id,
            "description": self._region.tag,
            "fixed_ips": [{"ip_address": str(spec.address)}],
            "security_groups": [group_id],
        }

    def _server(self, spec: ServerSpec, port_id: str) -> str:
        wish = {
            "name": spec.server_id,
            "imageRef": self._known.image,
            "flavorRef": self._known.flavor,
            "networks": [{"port": port_id}],
            "metadata": server_metadata(self._region, spec),
        }
        compute = self._connection.compute
        made = compute.post("/servers", json={"server": wish}, microversion=COMPUTE_VERSION)
        return str(_done(made)["server"]["id"])

    def _await(self, server_id: str) -> None:
        path = f"/servers/{server_id}"
        while True:
            seen = _done(self._connection.compute.get(path, microversion=COMPUTE_VERSION))["server"]
            if seen["status"] == "ACTIVE":
                return
            threading.Event().wait(LOOK_EVERY_S)

    def _post(self, path: str, key: str, document: Mapping[str, Any]) -> dict[str, Any]:
        made = _done(self._connection.network.post(f"/{path}", json={key: document}))
        found: dict[str, Any] = made[key]
        return found


def _done(answer: Any) -> dict[str, Any]:
    answer.raise_for_status()
    found: dict[str, Any] = answer.json() if answer.content else {}
    return found
