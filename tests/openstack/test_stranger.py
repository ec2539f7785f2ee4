"""Who has a tenant's rights in the cloud's own API sees and changes nothing of another tenant's.

Edubba gives no tenant such rights. Should somebody get hold of some, this is how far he comes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_urlsafe
from typing import Any

import pytest
from openstack.connection import Connection

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.port import Fence, ServerSpec, ServerState, TenantSpec
from control_plane.settings import Settings
from tests.openstack.fast import FastCloud, a_fast_cloud, a_region, a_spec, sure
from tests.openstack.inventory import Found, Inventory
from tests.waiting import wait_until

pytestmark = pytest.mark.cloud
REFUSALS = {400, 401, 403, 404}
CONSOLE = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
RULE = {"security_group_rule": {"security_group_id": "{security_group}", "direction": "ingress"}}
SHARED = {
    "rbac_policy": {
        "object_type": "network",
        "object_id": "{network}",
        "action": "access_as_shared",
        "target_tenant": "{own}",
    }
}
OTHERS = (  # of quotas neutron tells a manager its defaults, whoever he asks for
    ("compute", "/servers/detail"),
    ("compute", "/servers/detail?all_tenants=1"),
    ("compute", "/servers/detail?all_tenants=1&project_id={project}"),
    ("compute", "/servers/{server}"),
    ("compute", "/servers/{server}/os-interface"),
    ("compute", "/servers/{server}/os-instance-actions"),
    ("compute", "/os-hypervisors/detail"),
    ("compute", "/os-services"),
    ("compute", "/os-simple-tenant-usage?detailed=1"),
    ("compute", "/os-simple-tenant-usage/{project}"),
    ("compute", "/os-quota-sets/{project}"),
    ("compute", "/limits?tenant_id={project}"),
    ("compute", "/os-migrations"),
    ("compute", "/os-server-groups?all_projects=true"),
    ("network", "/networks"),
    ("network", "/networks?project_id={project}"),
    ("network", "/networks/{network}"),
    ("network", "/subnets"),
    ("network", "/subnets/{subnet}"),
    ("network", "/ports"),
    ("network", "/ports?project_id={project}"),
    ("network", "/routers"),
    ("network", "/security-groups"),
    ("network", "/security-group-rules"),
    ("network", "/floatingips"),
    ("network", "/floatingips/{floatingip}"),
    ("network", "/agents"),
    ("image", "/images?visibility=all&owner={project}"),
    ("identity", "/projects"),
    ("identity", "/projects/{project}"),
    ("identity", "/users"),
    ("identity", "/role_assignments?scope.project.id={project}"),
    ("identity", "/domains"),
)
CHANGES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("post", "compute", "/servers/{server}/action", {"os-stop": None}),
    ("post", "compute", "/servers/{server}/action", {"os-getConsoleOutput": {"length": 9}}),
    ("post", "compute", "/servers/{server}/action", {"rebuild": {"imageRef": "{project}"}}),
    ("post", "compute", "/servers/{server}/metadata", {"metadata": {"edubba_data": "0"}}),
    ("post", "compute", "/servers/{server}/remote-consoles", CONSOLE),
    ("put", "compute", "/servers/{server}", {"server": {"name": "mine"}}),
    ("put", "compute", "/os-quota-sets/{own}", {"quota_set": {"cores": 999}}),
    ("delete", "compute", "/servers/{server}", {}),
    ("post", "network", "/ports", {"port": {"network_id": "{network}"}}),
    ("post", "network", "/networks", {"network": {"project_id": "{project}"}}),
    ("post", "network", "/rbac-policies", SHARED),
    ("put", "network", "/ports/{port}", {"port": {"security_groups": []}}),
    ("put", "network", "/floatingips/{floatingip}", {"floatingip": {"port_id": None}}),
    ("put", "network", "/routers/{router}/add_router_interface", {"subnet_id": "{own_subnet}"}),
    ("put", "network", "/quotas/{own}", {"quota": {"port": 999}}),
    ("post", "network", "/security-group-rules", RULE),
    ("delete", "network", "/ports/{port}", {}),
    ("delete", "network", "/floatingips/{floatingip}", {}),
    ("delete", "identity", "/projects/{project}", {}),
    ("post", "identity", "/users", {"user": {"name": "another"}}),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tenants, each with a server; `others` is all that is the second one's."""

    admin: Connection
    auth_url: str
    domain_id: str
    project_id: str
    subnet_id: str
    other_id: str
    others: list[Found]

    @property
    def names(self) -> dict[str, str]:
        """Of each kind, one of the other's, by which calls are filled in."""
        own = {"own": self.project_id, "own_subnet": self.subnet_id, "project": self.other_id}
        return {one.kind: one.id for one in self.others} | own

    @property
    def secrets(self) -> set[str]:
        return {one.id for one in self.others if one.kind != "role"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    settings, installation = Settings(), f"s{token_urlsafe(4).lower().translate({45: 48, 95: 49})}"
    api = Api(settings.clouds_file, settings.cloud_entry)
    with a_fast_cloud() as admin:
        inventory = Inventory(admin)
        cloud = FastCloud(api, a_region(installation, settings), tmp_path_factory.mktemp("worker"))
        fence = Fence(new_id("lif"), 1)
        projects = []
        try:
            for serial in (1, 2):
                tenant_id, server_id = new_id("ten"), new_id("hst")
                cloud.ensure_tenant(TenantSpec(tenant_id, new_id("agy")), fence)
                projects.append(cloud._tenants.project(tenant_id))
                spec = a_spec(server_id, tenant_id, serial)
                wait_until(partial(is_running, cloud, spec, fence), timeout_s=60)
            own = inventory.of(installation, {projects[0]})
            others = inventory.of(installation, {projects[1]})
            yield Pair(
                admin,
                admin.config.auth["auth_url"],
                api.domain_id,
                projects[0],
                next(one.id for one in own if one.kind == "subnet"),
                projects[1],
                [one for one in others if one.project_id == projects[1]],
            )
        finally:
            inventory.remove(installation, set(projects))


@pytest.fixture(scope="module", params=["member", "manager"])
def stranger(pair: Pair, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Somebody with a role in the first tenant's project, and nowhere else."""
    with somebody(pair, request.param) as connection:
        yield connection


def is_running(cloud: FastCloud, spec: ServerSpec, fence: Fence) -> bool:
    return cloud.ensure_server(spec, fence).state is ServerState.RUNNING


@contextmanager
def somebody(pair: Pair, role: str) -> Iterator[Connection]:
    identity, password = pair.admin.identity, token_urlsafe(16)
    wish = {"name": new_id("usr"), "domain_id": pair.domain_id, "password": password}
    user = sure(identity.post("/users", json={"user": wish})).json()["user"]
    [found] = sure(identity.get(f"/roles?name={role}")).json()["roles"]
    granted = f"/projects/{pair.project_id}/users/{user['id']}/roles/{found['id']}"
    sure(identity.put(granted))
    try:
        with Connection(
            region_name=pair.admin.config.region_name,
            auth={
                "auth_url": pair.auth_url,
                "user_id": user["id"],
                "password": password,
                "project_id": pair.project_id,
            },
        ) as connection:
            yield connection
    finally:
        sure(identity.delete(f"/users/{user['id']}"))


def filled(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {name: filled(value, names) for name, value in part.items()}
    return part.format_map(names) if isinstance(part, str) else part


@pytest.mark.parametrize(("service", "path"), OTHERS)
def test_nothing_that_is_another_tenants_is_told(
    pair: Pair, stranger: Connection, service: str, path: str
) -> None:
    asked = filled(path, pair.names)
    answer = getattr(stranger, service).get(asked)
    assert answer.status_code in {200, *REFUSALS}, answer.text
    told = {one for one in pair.secrets if one in answer.text and one not in asked}
    assert not told
    is_about_the_other = "{" in path.partition("?")[0]
    assert not (is_about_the_other and answer.ok), answer.text


@pytest.mark.parametrize(("method", "service", "path", "about"), CHANGES)
def test_nothing_that_is_another_tenants_is_changed(
    pair: Pair, stranger: Connection, method: str, service: str, path: str, about: dict[str, Any]
) -> None:
    wish = filled(about, pair.names) or None
    answer = getattr(getattr(stranger, service), method)(filled(path, pair.names), json=wish)
    assert answer.status_code in REFUSALS, (answer.status_code, answer.text)


def test_no_token_is_given_for_another_tenants_project_its_domain_or_the_system(
    pair: Pair, stranger: Connection
) -> None:
    token = stranger.auth_token
    for scope in (
        {"project": {"id": pair.other_id}},
        {"domain": {"id": pair.domain_id}},
        {"system": {"all": True}},
    ):
        wish = {
            "auth": {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
        }
        answer = stranger.session.post(f"{pair.auth_url}/auth/tokens", json=wish, raise_exc=False)
        assert answer.status_code in REFUSALS, (scope, answer.text)


def test_the_other_tenant_has_what_it_had(pair: Pair) -> None:
    now = {one.id for one in Inventory(pair.admin).of("nobody", {pair.other_id})}
    assert now == {one.id for one in pair.others}
    server = pair.names["server"]
    found = sure(pair.admin.compute.get(f"/servers/{server}")).json()["server"]
    assert found["status"] == "ACTIVE"
