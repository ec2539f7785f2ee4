"""What an operator or a full cloud can get wrong: said in words, what was made kept, then mended.

Each condition is made in a real cloud, by its administrator. What is seen on every one of them:
the sentence, that what was made so far is listed, and that it goes on once the cause is mended.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection

from control_plane.kit.errors import Refused
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.openstack.wishes import RegionSettings
from control_plane.ports.cloud.port import Fence, Limits, ServerFact, ServerState, TenantSpec
from control_plane.settings import Settings
from tests.openstack.fast import DIGEST, FastCloud, a_fast_cloud, a_region, a_spec, an_image, sure
from tests.openstack.inventory import Inventory, doubles
from tests.openstack.telling import shown
from tests.waiting import wait_until

pytestmark = pytest.mark.cloud
POOL = "198.18.0.0/29"  # RFC 2544; nothing routes it to here


@pytest.fixture(scope="module")
def admin() -> Iterator[Connection]:
    with a_fast_cloud() as connection:
        yield connection


@dataclass
class Stage:
    """A tenant with a server that is to be made."""

    admin: Connection
    folder: Path
    region: RegionSettings

    def __post_init__(self) -> None:
        settings = Settings()
        self.api = Api(settings.clouds_file, settings.cloud_entry)
        self.cloud = FastCloud(self.api, self.region, self.folder)
        self.tenant_id = new_id("ten")
        self.spec = a_spec(new_id("hst"), self.tenant_id, 7)
        self.fence = Fence("lif_1", 1)

    @property
    def project_id(self) -> str:
        return self.cloud._tenants.project(self.tenant_id)

    def open(self) -> None:
        self.cloud.ensure_tenant(TenantSpec(self.tenant_id, "agy_1"), self.fence)

    def build(self, **changes: Any) -> ServerFact:
        return self.cloud.ensure_server(replace(self.spec, **changes), self.fence)

    def stops(self, code: str, **changes: Any) -> str:
        """Return what is shown of a server that can't be made; the tenant is kept and listed."""
        with pytest.raises(Refused) as caught:
            self.build(**changes)
        assert caught.value.code == code, caught.value
        assert self.tenant_id in {one.object_id for one in self.cloud.list_objects()}
        return shown(caught.value)

    def goes_on(self) -> None:
        assert self.build().state is ServerState.RUNNING
        assert self.spec.server_id in {one.object_id for one in self.cloud.list_objects()}
        self.cloud.destroy_server(self.spec.server_id, self.fence)
        self.cloud.destroy_tenant(self.tenant_id, self.fence)

    def is_manager(self) -> bool:
        try:
            self.cloud._tenants.list_projects()
        except Refused:
            return False
        return True

    def assignment(self, role: str, where: str) -> str:
        """Return the path of a role that Edubba's user has."""
        roles = sure(self.admin.identity.get(f"/roles?name={role}")).json()["roles"]
        return f"/{where}/users/{self.api.user_id()}/roles/{roles[0]['id']}"


@contextmanager
def an_external_network(admin: Connection, cidr: str, addresses: int) -> Iterator[str]:
    """Have an external network with so many addresses, which lead nowhere."""
    network = IPv4Network(cidr)
    name = f"small-{os.urandom(3).hex()}"
    about: dict[str, Any] = {"name": name, "router:external": True}
    made = sure(admin.network.post("/networks", json={"network": about})).json()["network"]
    pool = {"start": str(network[2]), "end": str(network[1 + addresses])}
    subnet = {
        "network_id": made["id"],
        "ip_version": 4,
        "cidr": cidr,
        "enable_dhcp": False,
        "allocation_pools": [pool],
    }
    try:
        sure(admin.network.post("/subnets", json={"subnet": subnet}))
        yield name
    finally:
        for one in admin.network.get(f"/floatingips?floating_network_id={made['id']}").json()[
            "floatingips"
        ]:
            admin.network.delete(f"/floatingips/{one['id']}")
        sure(admin.network.delete(f"/networks/{made['id']}"))


def a_taken_address(admin: Connection, name: str) -> str:
    networks = sure(admin.network.get(f"/networks?name={name}")).json()["networks"]
    about = {"floating_network_id": networks[0]["id"]}
    made = sure(admin.network.post("/floatingips", json={"floatingip": about})).json()
    return str(made["floatingip"]["id"])


@contextmanager
def a_stage(admin: Connection, folder: Path, **changes: Any) -> Iterator[Stage]:
    installation = f"b{os.urandom(3).hex()}"
    stage = Stage(admin, folder, a_region(installation, Settings(), **changes))
    projects: set[str] = set()
    try:
        stage.open()
        projects.add(stage.project_id)
        yield stage
    finally:
        inventory = Inventory(admin)
        projects |= {one.id for one in inventory.of(installation, set()) if one.kind == "project"}
        inventory.remove(installation, projects)


@pytest.fixture
def stage(admin: Connection, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(admin, tmp_path) as found:
        yield found


def test_a_role_that_was_taken_in_a_project_is_given_again(stage: Stage) -> None:
    sure(stage.admin.identity.delete(stage.assignment("edubba", f"projects/{stage.project_id}")))
    stage.goes_on()


def test_a_manager_who_is_none_any_more_is_told_which_right_is_missing(stage: Stage) -> None:
    manager = stage.assignment("manager", f"domains/{stage.api.domain_id}")
    sure(stage.admin.identity.delete(manager))
    try:
        wait_until(lambda: not stage.is_manager(), timeout_s=60)
        with pytest.raises(Refused) as caught:
            stage.open()
    finally:
        sure(stage.admin.identity.put(manager))
    assert caught.value.code in {"cloud_right_missing", "cloud_login_refused"}
    assert "docs/openstack.md" in shown(caught.value)
    wait_until(lambda: has_its_right_again(stage), timeout_s=60)  # keystone remembers for seconds


def has_its_right_again(stage: Stage) -> bool:
    try:
        stage.goes_on()
    except Refused as refused:
        if refused.code != "cloud_right_missing":
            raise
        return False
    return True


def test_a_wrong_password_is_told(stage: Stage, tmp_path: Path) -> None:
    settings = Settings()
    right = settings.clouds_file.read_text()
    password = str(stage.api._auth["password"])
    wrong = tmp_path / "clouds.yaml"
    wrong.write_text(right.replace(password, "not-it"))
    cloud = FastCloud(Api(wrong, settings.cloud_entry), stage.region, tmp_path / "other")
    with pytest.raises(Refused) as caught:
        cloud.ensure_server(stage.spec, stage.fence)
    assert caught.value.code == "cloud_login_refused"
    assert "user and password" in shown(caught.value)
    assert "not-it" not in shown(caught.value)


def test_an_image_that_is_gone_is_told_and_one_that_is_there_again_is_taken(stage: Stage) -> None:
    other = DIGEST.replace("fa57", "900e")
    assert "prepared image" in stage.stops("image_missing", image=other)
    with an_image(stage.admin, other):
        assert stage.build(image=other).state is ServerState.RUNNING


def test_a_size_that_no_flavor_has_is_told_and_one_that_is_made_is_taken(stage: Stage) -> None:
    size = Limits(memory_mib=5_000, cpu_millis=2_000, pids=64, disk_mib=64 * 1024)
    told = stage.stops("flavor_missing", limits=size)
    assert "5000 MiB of memory, 2 cores and a disk of 64 GiB" in told
    about = {"name": stage.tenant_id, "ram": 5_000, "vcpus": 2, "disk": 64}
    made = sure(stage.admin.compute.post("/flavors", json={"flavor": about})).json()["flavor"]
    try:
        assert stage.build(limits=size).state is ServerState.RUNNING
    finally:
        sure(stage.admin.compute.delete(f"/flavors/{made['id']}"))


def test_a_full_cloud_is_told_and_the_server_made_once_there_is_room(stage: Stage) -> None:
    services = sure(stage.admin.compute.get("/os-services?binary=nova-compute")).json()["services"]
    path = "/os-services/disable", "/os-services/enable"
    about = {"host": services[0]["host"], "binary": "nova-compute"}
    sure(stage.admin.compute.put(path[0], json=about))
    try:
        assert "No valid host" in stage.stops("cloud_full")
        assert stage.spec.server_id in {one.object_id for one in stage.cloud.list_objects()}
    finally:
        sure(stage.admin.compute.put(path[1], json=about))
    stage.goes_on()


def test_a_quota_below_the_plan_is_told_and_the_tenants_own_look_raises_it(stage: Stage) -> None:
    path = f"/os-quota-sets/{stage.project_id}"
    sure(stage.admin.compute.put(path, json={"quota_set": {"instances": 0}}))
    assert "Quota exceeded" in stage.stops("cloud_quota_exceeded")
    stage.open()
    stage.goes_on()


def test_a_quota_of_addresses_below_the_plan_is_told(stage: Stage) -> None:
    path = f"/quotas/{stage.project_id}"
    sure(stage.admin.network.put(path, json={"quota": {"floatingip": 0}}))
    assert "floatingip" in stage.stops("cloud_quota_exceeded")
    stage.open()
    stage.goes_on()


def test_an_exhausted_pool_of_addresses_is_told_and_one_that_is_freed_taken(
    admin: Connection, tmp_path: Path
) -> None:
    with (
        an_external_network(admin, POOL, addresses=2) as name,
        a_stage(admin, tmp_path, external_network=name) as stage,
    ):
        taken = a_taken_address(admin, name)  # the router has the other one
        assert "no free address left" in stage.stops("cloud_addresses_exhausted")
        sure(admin.network.delete(f"/floatingips/{taken}"))
        stage.goes_on()


def test_an_external_network_that_is_not_there_is_named(admin: Connection, tmp_path: Path) -> None:
    with (
        pytest.raises(Refused) as caught,
        a_stage(admin, tmp_path, external_network="none-such"),
    ):
        pass
    assert caught.value.code == "external_network_missing"
    assert "none-such" in shown(caught.value)


def test_a_role_that_the_cloud_does_not_have_is_named(admin: Connection, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught, a_stage(admin, tmp_path, role="none-such"):
        pass
    assert caught.value.code == "cloud_role_missing"
    assert "none-such" in shown(caught.value)


def test_two_of_a_thing_become_one_at_the_next_look(stage: Stage) -> None:
    network, quota = stage.admin.network, f"/quotas/{stage.project_id}"
    sure(network.put(quota, json={"quota": {"router": 2, "network": 2}}))
    about = {"name": stage.tenant_id, "project_id": stage.project_id}
    for kind in ("router", "network", "security_group"):
        path = f"/{kind.replace('_', '-')}s"
        sure(network.post(path, json={kind: about}))
    sure(network.put(quota, json={"quota": {"router": 1, "network": 1, "force": True}}))
    stage.open()
    assert not doubles(Inventory(stage.admin).of(stage.region.installation, {stage.project_id}))
    stage.goes_on()
