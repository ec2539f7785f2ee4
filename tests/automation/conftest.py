from collections.abc import Iterator

import pytest

from tests.automation.world import RunnerWorld, running_runner


@pytest.fixture(scope="module")
def world() -> Iterator[RunnerWorld]:
    with running_runner() as found:
        yield found


@pytest.fixture(scope="module")
def server(world: RunnerWorld) -> str:
    return world.locald.a_running_server().server_id
