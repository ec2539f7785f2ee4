from collections.abc import Iterator

import pytest

from control_plane.kit.db import Database
from tests.engine.toy import Bench


@pytest.fixture
def bench(db: Database) -> Iterator[Bench]:
    made = Bench(db)
    yield made
    made.close()
