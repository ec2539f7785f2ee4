from collections.abc import Iterator

import pytest

from tests.guest.world import World, a_machine
from tests.waiting import wait_until


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """One server that runs, for all tests that leave it as it is."""
    with a_machine(World.user_data) as found:
        wait_until(found.is_up)
        yield found
