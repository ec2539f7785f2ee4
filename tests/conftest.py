"""What every test may ask for: a clean database, on each of the two engines."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import create_engine

import control_plane.migrations.tables  # noqa: F401  # every table, before any is made
from control_plane.kit.db import METADATA, Database
from tests.api import Api, an_api
from tests.databases import Files, Schemas, Store, run_as_owner
from tests.postgresql import a_postgresql
from tests.quick_disk import quick_folder

hypothesis.settings.register_profile("untimed", deadline=None)  # machines are noisy
hypothesis.settings.load_profile("untimed")

# What takes longest is begun first: no process is alone with it when the others have ended.
LONGEST = (
    "tests/faults/test_machine_kills.py",
    "tests/faults/test_kills.py",
    "tests/stories/test_up_down_clean.py",
    "tests/families/",
    "tests/stories/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what was imported and collected stays to the end: no use in looking at it again
    gc.set_threshold(100_000, 20, 20)


def _rank(item: pytest.Item) -> int:
    known = (rank for rank, place in enumerate(LONGEST) if item.nodeid.startswith(place))
    return next(known, len(LONGEST))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Start a private PostgreSQL; give its URL without a database name."""
    with a_postgresql() as server:
        yield server.url


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    """Make the tables once in a file that each test's own is copied from."""
    with quick_folder() as folder:
        path = folder / "template.db"
        engine = create_engine(f"sqlite:///{path}")
        METADATA.create_all(engine)
        engine.dispose()
        yield path


@pytest.fixture(scope="session")
def postgresql_store(postgresql_server: str) -> Iterator[Store]:
    """Keep databases of the server, each with all tables."""
    run_as_owner(postgresql_server, "CREATE DATABASE template_edubba")
    engine = create_engine(f"{postgresql_server}/template_edubba")
    METADATA.create_all(engine)
    engine.dispose()
    store = Store(Schemas(postgresql_server, "template_edubba"))
    yield store
    store.close()


@pytest.fixture(scope="session")
def sqlite_store(sqlite_template: Path) -> Iterator[Store]:
    """Keep SQLite databases, each with all tables."""
    with quick_folder() as folder:
        store = Store(Files(folder, sqlite_template))
        yield store
        store.close()


@contextmanager
def an_empty_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Lend a database with all tables, of the engine that is the fixture's parameter."""
    store: Store = request.getfixturevalue(f"{request.param}_store")
    with store.lend() as database:
        yield database


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give an empty database with all tables, once for each engine."""
    with an_empty_database(request) as database:
        yield database


@pytest.fixture
def sqlite_db(sqlite_store: Store) -> Iterator[Database]:
    """Give an empty SQLite database, for tests in which the engine makes no difference."""
    with sqlite_store.lend() as database:
        yield database


@pytest.fixture
def api(sqlite_db: Database) -> Iterator[Api]:
    """Serve the API around an empty SQLite database."""
    with an_api(sqlite_db) as served:
        yield served
