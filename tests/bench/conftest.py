from collections.abc import Iterator

import pytest

from tests.stories.installation import Installation, installed


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    with installed() as one:
        yield one
