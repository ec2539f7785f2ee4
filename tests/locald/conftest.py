from collections.abc import Iterator

import pytest

from tests.locald.world import LocaldWorld, running_locald


@pytest.fixture(scope="module")
def world() -> Iterator[LocaldWorld]:
    with running_locald() as found:
        yield found
