from collections.abc import Iterator

import pytest

from tests.automation.world import RunnerWorld, running_runner
from tests.images import PLAYBOOKS


@pytest.fixture(scope="package")
def world() -> Iterator[RunnerWorld]:
    with running_runner(PLAYBOOKS) as found:
        yield found
