"""What a tenant costs on OpenStack, beside what it costs at least, on the same cloud in one run.

All calls go through one proxy, which counts them and does nothing to them. Servers have no inside:
what is measured is what the cloud's APIs make.
"""

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from openstack.connection import Connection

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.port import Fence, ServerSpec, ServerState, TenantSpec
from control_plane.settings import Settings
from tests.bench.bare import Bare, Known
from tests.bench.figures import show, show_seconds
from tests.openstack.fast import FastCloud, a_fast_cloud, a_region, a_spec
from tests.openstack.inventory import Inventory, projects_made
from tests.openstack.proxy import Call, Proxy, running_proxy

pytestmark = [pytest.mark.bench, pytest.mark.cloud, pytest.mark.timeout(1800)]
ROUNDS = int(os.environ.get("EDUBBA_ROUNDS", "4"))
FENCE = Fence("lif_1", 1)


@pytest.fixture(scope="module")
def admin() -> Iterator[Connection]:
    with a_fast_cloud() as connection:
        yield connection


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with running_proxy(seed=0, share=0.0) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def installation(admin: Connection, proxy: Proxy) -> Iterator[str]:
    name = f"m{os.urandom(3).hex()}"
    yield name
    Inventory(admin).remove(name, projects_made(proxy.calls))


def a_pair(serial: int) -> tuple[TenantSpec, ServerSpec]:
    tenant = TenantSpec(new_id("ten"), "agy_1")
    return tenant, a_spec(new_id("hst"), tenant.tenant_id, serial)


def logins(calls: list[Call]) -> int:
    return sum(call.method == "POST" and call.path.endswith("/tokens") for call in calls)


def known_of(cloud: FastCloud, tenant: TenantSpec, spec: ServerSpec) -> Known:
    tenants, servers = cloud._tenants, cloud._servers
    return Known(
        user=tenants._user(),
        role=tenants._role(),
        external=tenants.external_network(tenants.project(tenant.tenant_id)),
        image=str(servers._images.find(spec)["id"]),
        flavor=str(servers._flavor(spec)["id"]),
    )


def test_a_tenant_with_its_server_beside_a_bare_script(
    installation: str, proxy: Proxy, tmp_path: Path
) -> None:
    settings = Settings()
    region = a_region(installation, settings)
    cloud = FastCloud(Api(settings.clouds_file, settings.cloud_entry), region, tmp_path)

    def by_adapter(tenant: TenantSpec, spec: ServerSpec) -> float:
        begun = time.monotonic()
        cloud.ensure_tenant(tenant, FENCE)
        assert cloud.ensure_server(spec, FENCE).state is ServerState.RUNNING
        return time.monotonic() - begun

    first = a_pair(1)
    by_adapter(*first)  # what is looked up once a process
    bare = Bare(Api(settings.clouds_file, settings.cloud_entry), region, known_of(cloud, *first))
    bare.make(*a_pair(2))
    took: dict[str, list[float]] = {"adapter": [], "bare": []}
    asked: dict[str, list[Call]] = {"adapter": [], "bare": []}
    for number in range(ROUNDS):
        for name, make in (("adapter", by_adapter), ("bare", bare.make)):
            before = len(proxy.calls)
            took[name].append(make(*a_pair(3 + number)))
            asked[name] += proxy.calls[before:]
    for name, seconds in took.items():
        calls = asked[name]
        show_seconds(f"{name}: a tenant and its server, asked for → active", seconds)
        show(f"{name}: calls, and logins among them", f"{len(calls)} / {logins(calls)}")
    ratio = statistics.median(took["adapter"]) / statistics.median(took["bare"])
    show("adapter / bare, time (goal ≤ 1.1)", f"{ratio:.2f}")
    show("adapter / bare, calls (goal ≤ 1.2)", f"{len(asked['adapter']) / len(asked['bare']):.2f}")
    counted = Counter(f"{one.method} {short(one.path)}" for one in asked["adapter"])
    least = Counter(f"{one.method} {short(one.path)}" for one in asked["bare"])
    for what in sorted(counted | least):
        difference = (counted[what] - least[what]) / ROUNDS
        if difference:
            show(f"    more a tenant: {what}", f"{difference:+.2f}")


def short(path: str) -> str:
    """Return a path without ids."""
    return "/".join(part for part in path.split("/")[2:] if len(part) < 32)


def test_a_look_for_drift(installation: str, proxy: Proxy, tmp_path: Path) -> None:
    settings = Settings()
    region = a_region(installation, settings)
    cloud = FastCloud(Api(settings.clouds_file, settings.cloud_entry), region, tmp_path)
    pairs = [a_pair(1 + number) for number in range(ROUNDS)]
    for tenant, spec in pairs:
        cloud.ensure_tenant(tenant, FENCE)
        cloud.ensure_server(spec, FENCE)
    made = len(proxy.calls)
    list(cloud.list_objects())
    scanned = len(proxy.calls)
    for _, spec in pairs:
        cloud.observe_server(spec.server_id)
    observed = len(proxy.calls)
    show("calls a tenant of all that is ours (goal ≤ 10)", f"{(scanned - made) / ROUNDS:.2f}")
    show("calls a look at one server", f"{(observed - scanned) / ROUNDS:.2f}")
    share = logins(proxy.calls) / len(proxy.calls)
    show("logins per 50 calls, made and looked at once (goal ≤ 1)", f"{share * 50:.2f}")
    for _ in range(10):
        list(cloud.list_objects())
        for _, spec in pairs:
            cloud.observe_server(spec.server_id)
    share = logins(proxy.calls) / len(proxy.calls)
    show("logins per 50 calls, after ten looks more", f"{share * 50:.2f}")
