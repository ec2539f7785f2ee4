"""The stage of the cloud's suites: each test plays on every cloud."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.port import Fence, TenantSpec
from tests.contracts.clouds import WORLDS, Stage, World


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    make: Callable[[], AbstractContextManager[World]] = request.param
    with make() as found:
        yield found


@pytest.fixture
def stage(world: World, tmp_path: Path) -> Iterator[Stage]:
    found = Stage(world, tmp_path)
    world.cloud.ensure_tenant(TenantSpec(found.tenant_id, new_id("agy")), found.fence)
    yield found
    newest = Fence(found.fence.life_id, 1_000)
    for spec in found.specs:
        world.cloud.destroy_server(spec.server_id, newest)
    world.cloud.destroy_tenant(found.tenant_id, newest)
