"""What somebody does in the cloud behind our back: mended, or told with what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.machines import DATA, Machine
from control_plane.ports.cloud.port import ServerSpec, ServerState, TenantSpec
from tests.contracts.clouds import Stage
from tests.contracts.conftest import a_stage
from tests.contracts.openstack import OpenStack, openstack_with_guests
from tests.openstack.tiers import administrator
from tests.waiting import wait_until

pytestmark = pytest.mark.cloud
PAGE = b"<h1>Lagash</h1>"


class Somebody:
    """Who has all rights in a tenant's project, and uses them with `openstack`."""

    def __init__(self, world: OpenStack, stage: Stage, spec: ServerSpec) -> None:
        self._world, self._stage, self.spec = world, stage, spec
        api, project = world.cloud._tenants._api, world.cloud._tenants.project(stage.tenant_id)
        self.network, self.compute = (
            api.service("network", project),
            api.service("compute", project),
        )
        self.project_id = project

    @property
    def machine(self) -> Machine:
        found = self._world.cloud._servers.find(self.spec.server_id, self._stage.tenant_id)
        assert found is not None
        return found

    def all_of(self, kind: str, **query: Any) -> list[dict[str, Any]]:
        wish = {"project_id": self.project_id, **query}
        return list(self.network.list(f"/{kind}", kind.replace("-", "_"), **wish))

    def remove_server(self) -> None:
        machine = self.machine
        self.compute.delete(f"/servers/{machine.id}")
        wait_until(lambda: self._world.cloud._servers.get(machine) is None, timeout_s=60)


@pytest.fixture(scope="module")
def world() -> Iterator[OpenStack]:
    with openstack_with_guests() as found:
        yield found


@pytest.fixture(scope="module")
def stage(world: OpenStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(Stage(world, tmp_path_factory.mktemp("stage"))) as found:
        yield found


@pytest.fixture(scope="module")
def somebody(world: OpenStack, stage: Stage) -> Somebody:
    """Somebody, and a server that serves a page."""
    spec = stage.a_server()
    stage.a_release(index__html=PAGE).deploy(stage.cloud, spec.server_id, stage.fence)
    return Somebody(world, stage, spec)


def mend(stage: Stage, spec: ServerSpec) -> None:
    """Ask for a tenant and a server until it runs, as a life does that something went wrong for."""

    def runs() -> bool:
        try:
            stage.cloud.ensure_tenant(TenantSpec(stage.tenant_id, new_id("agy")), stage.fence)
            return stage.cloud.ensure_server(spec, stage.fence).state is ServerState.RUNNING
        except Unavailable as unavailable:
            if unavailable.code not in {"cloud_changed", "server_unreachable"}:
                raise
            return False

    wait_until(runs, timeout_s=240)
    wait_until(lambda: stage.get(spec, "/") == (200, PAGE), timeout_s=60)


def test_a_floating_address_that_was_removed_is_replaced(stage: Stage, somebody: Somebody) -> None:
    for one in somebody.all_of("floatingips"):
        somebody.network.delete(f"/floatingips/{one['id']}")
    mend(stage, somebody.spec)


def test_a_port_that_was_unplugged_and_removed_is_made_and_plugged_in_again(
    world: OpenStack, stage: Stage, somebody: Somebody
) -> None:
    world.lose_process(somebody.spec)  # nova takes nothing off a container that runs
    [port] = somebody.all_of("ports", name=somebody.spec.server_id)
    somebody.compute.delete(f"/servers/{somebody.machine.id}/os-interface/{port['id']}")
    wait_until(lambda: not somebody.all_of("ports", device_id=somebody.machine.id), timeout_s=60)
    somebody.network.delete(f"/ports/{port['id']}")
    mend(stage, somebody.spec)
    assert_as_before(somebody)


def test_a_port_that_was_removed_under_a_server_is_made_and_plugged_in_again(
    stage: Stage, somebody: Somebody
) -> None:
    [port] = somebody.all_of("ports", name=somebody.spec.server_id)
    with administrator() as admin:  # nobody else may
        admin.network.delete(f"/ports/{port['id']}").raise_for_status()
    mend(stage, somebody.spec)
    assert_as_before(somebody)


def assert_as_before(somebody: Somebody) -> None:
    [fresh] = somebody.all_of("ports", name=somebody.spec.server_id)
    assert fresh["fixed_ips"][0]["ip_address"] == str(somebody.spec.address)
    assert DATA in fresh["tags"]


def test_what_somebody_opened_is_closed_and_what_he_closed_is_open(
    stage: Stage, somebody: Somebody
) -> None:
    [group] = somebody.all_of("security-groups", name=stage.tenant_id)
    before = {rule["remote_ip_prefix"] for rule in group["security_group_rules"]}
    for rule in group["security_group_rules"]:
        somebody.network.delete(f"/security-group-rules/{rule['id']}")
    wish = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv6"}
    somebody.network.post("/security-group-rules", {"security_group_rule": wish})
    mend(stage, somebody.spec)
    [group] = somebody.all_of("security-groups", name=stage.tenant_id)
    assert {rule["remote_ip_prefix"] for rule in group["security_group_rules"]} == before
    assert {rule["ethertype"] for rule in group["security_group_rules"]} == {"IPv4"}


def test_a_router_that_was_unplugged_and_removed_is_made_again(
    stage: Stage, somebody: Somebody
) -> None:
    for one in somebody.all_of("floatingips"):
        somebody.network.delete(f"/floatingips/{one['id']}")
    [router] = somebody.all_of("routers")
    for port in somebody.all_of("ports", device_id=router["id"]):
        path = f"/routers/{router['id']}/remove_router_interface"
        somebody.network.put(path, {"port_id": port["id"]})
    somebody.network.delete(f"/routers/{router['id']}")
    mend(stage, somebody.spec)


def test_a_server_that_was_stopped_or_is_silent_serves_again(
    world: OpenStack, stage: Stage, somebody: Somebody
) -> None:
    world.lose_process(somebody.spec)
    assert stage.cloud.observe_server(somebody.spec.server_id).reasons == ("shutoff",)
    mend(stage, somebody.spec)


def test_a_server_that_vanished_with_data_is_not_replaced_in_silence(
    stage: Stage, somebody: Somebody
) -> None:
    somebody.remove_server()
    assert stage.cloud.observe_server(somebody.spec.server_id).state is ServerState.ABSENT
    with pytest.raises(Refused) as refused:
        stage.cloud.ensure_server(somebody.spec, stage.fence)
    assert refused.value.code == "server_vanished"
    port_id = refused.value.facts["port"]
    somebody.network.delete(f"/ports/{port_id}/tags/edubba_data")  # as the words tell
    stage.running(somebody.spec)
    stage.a_release(index__html=PAGE).deploy(stage.cloud, somebody.spec.server_id, stage.fence)
    assert stage.get(somebody.spec, "/") == (200, PAGE)


def test_a_server_that_vanished_before_it_held_anything_is_made_again(
    world: OpenStack, stage: Stage
) -> None:
    spec = stage.a_server()
    Somebody(world, stage, spec).remove_server()
    assert stage.running(spec).state is ServerState.RUNNING


def test_what_no_row_claims_is_listed_and_removed_in_the_right_order(
    world: OpenStack, tmp_path: Path
) -> None:
    stray = Stage(world, tmp_path)
    world.cloud.ensure_tenant(TenantSpec(stray.tenant_id, new_id("agy")), stray.fence)
    spec = stray.a_server()
    somebody = Somebody(world, stray, spec)
    listed = {(one.kind, one.object_id) for one in world.cloud.list_objects()}
    assert {("tenant", stray.tenant_id), ("server", spec.server_id)} <= listed
    world.cloud.destroy_server(spec.server_id, stray.fence)
    world.cloud.destroy_tenant(stray.tenant_id, stray.fence)
    gone = {stray.tenant_id, spec.server_id}
    assert not gone & {one.object_id for one in world.cloud.list_objects()}
    identity = world.cloud._tenants._api.service("identity")
    domain = world.cloud._tenants._api.domain_id
    left = identity.list("/projects", "projects", domain_id=domain)
    assert somebody.project_id not in {one["id"] for one in left}
