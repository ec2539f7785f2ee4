"""The stage of the cloud's suites: each test plays on every cloud."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
    with a_stage(Stage(world, tmp_path)) as found:
        yield found


@pytest.fixture(scope="module")
def settled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with one server, for all tests that leave it as it is."""
    wish = Stage(world, tmp_path_factory.mktemp("settled"), serials=iter(range(101, 200)))
    with a_stage(wish) as found:
        found.a_server()
        yield found


@contextmanager
def a_stage(found: Stage) -> Iterator[Stage]:
    found.cloud.ensure_tenant(TenantSpec(found.tenant_id, new_id("agy")), found.fence)
    yield found
    newest = Fence(found.fence.life_id, 1_000)
    for spec in found.specs:
        found.cloud.destroy_server(spec.server_id, newest)
    found.cloud.destroy_tenant(found.tenant_id, newest)
