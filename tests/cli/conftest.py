"""One served data centre for all commands; what a test changes is of an agency of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.kit.db import Database
from tests.cli.terminal import World, a_world


@pytest.fixture(scope="module")
def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cli")
    shutil.copy(sqlite_template, folder / "edubba.db")
    db = Database(f"sqlite:///{folder / 'edubba.db'}")
    with a_world(db, folder) as made:
        yield made
    db.close()


@pytest.fixture
def own_world(sqlite_db: Database, tmp_path: Path) -> Iterator[World]:
    """Give a data centre to one test alone, where all that there is matters."""
    with a_world(sqlite_db, tmp_path) as made:
        yield made
