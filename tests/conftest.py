"""What every test may ask for: a clean database, on each of the two engines."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import create_engine, text

import control_plane.migrations.tables  # noqa: F401  # every table, before any is made
from control_plane.kit.db import METADATA, Database
from tests.api import Api, an_api
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


def _rank(item: pytest.Item) -> int:
    known = (rank for rank, place in enumerate(LONGEST) if item.nodeid.startswith(place))
    return next(known, len(LONGEST))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Start a private PostgreSQL; give its URL without a database name."""
    with a_postgresql() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """Make the tables once in a database that each test's own is copied from."""
    _admin(postgresql_server, "CREATE DATABASE template_edubba")
    engine = create_engine(f"{postgresql_server}/template_edubba")
    METADATA.create_all(engine)
    engine.dispose()
    return postgresql_server


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    """Make the tables once in a file that each test's own is copied from."""
    with quick_folder() as folder:
        path = folder / "template.db"
        engine = create_engine(f"sqlite:///{path}")
        METADATA.create_all(engine)
        engine.dispose()
        yield path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of an empty database with all tables, once for each engine."""
    with an_empty_database(request) as url:
        yield url


@contextmanager
def an_empty_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a database with all tables, of the engine that is the fixture's parameter."""
    if request.param == "sqlite":
        with an_empty_sqlite(request.getfixturevalue("sqlite_template")) as url:
            yield url
        return
    server = request.getfixturevalue("postgresql_template")
    name = f"t_{uuid.uuid4().hex}"
    _admin(server, f"CREATE DATABASE {name} TEMPLATE template_edubba")
    yield f"{server}/{name}"
    _admin(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def an_empty_sqlite(template: Path) -> Iterator[str]:
    """Make an SQLite database with all tables."""
    with quick_folder() as folder:
        yield f"sqlite:///{shutil.copy(template, folder / 'edubba.db')}"


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """Give an empty database with all tables, once for each engine."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite_db(sqlite_template: Path) -> Iterator[Database]:
    """Give an empty SQLite database, for tests in which the engine makes no difference."""
    with an_empty_sqlite(sqlite_template) as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture
def api(sqlite_db: Database) -> Iterator[Api]:
    """Serve the API around an empty SQLite database."""
    with an_api(sqlite_db) as served:
        yield served


def _admin(server: str, statement: str) -> None:
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
