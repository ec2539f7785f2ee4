"""One running edge for each module of tests, with its routes as they were at the start."""

from collections.abc import Iterator

import pytest

from control_plane.ports.edge.port import Route, RouteState
from tests.edge.world import (
    NAMES,
    ZONE,
    EdgeWorld,
    running_world,
)


@pytest.fixture(scope="module")
def one_world() -> Iterator[EdgeWorld]:
    with running_world() as world:
        yield world


@pytest.fixture
def world(one_world: EdgeWorld) -> EdgeWorld:
    one_world.edge.replace_routes(
        Route(f"{name}.{ZONE}", RouteState.SERVING, one_world.servers[name]) for name in NAMES
    )
    return one_world
