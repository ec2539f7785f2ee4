"""The migrations make what the tables in code say, and give each role only what it needs."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from control_plane.kit.db import Database
from control_plane.migrations import run


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path}/bare.db")
        yield database
        database.close()
        return
    server = request.getfixturevalue("postgresql_server")
    admin = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE bare"))
    database = Database(f"{server}/bare")
    yield database
    database.close()
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE bare WITH (FORCE)"))
    admin.dispose()


def test_a_migrated_database_has_exactly_the_tables_in_code(bare_db: Database) -> None:
    run.upgrade(bare_db)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run.list_differences(bare_db) == []
    assert run.is_at_head(bare_db)


def test_a_new_database_is_not_at_head_before_it_is_migrated(bare_db: Database) -> None:
    assert not run.is_at_head(bare_db)


def test_migrating_twice_changes_nothing(bare_db: Database) -> None:
    run.upgrade(bare_db)
    run.upgrade(bare_db)

    assert run.is_at_head(bare_db)


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE ledger_entry SET actor_id = 'x'",
        "DELETE FROM ledger_entry",
        "DELETE FROM decision",
        "UPDATE plan SET hash = 'x'",
        "INSERT INTO edge_state (name, applied_generation) VALUES ('x', 1)",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
def test_the_web_role_cannot_rewrite_what_was_recorded(
    postgresql_server: str, roles: str, forbidden: str
) -> None:
    web = create_engine(roles.replace("owner@", "edubba_web@"))
    with web.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(forbidden))
    with web.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one() == 0
    web.dispose()


@pytest.fixture
def roles(postgresql_server: str) -> Iterator[str]:
    admin = create_engine(f"{postgresql_server}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE roles"))
        connection.execute(text("CREATE ROLE edubba_web LOGIN"))
        connection.execute(text("CREATE ROLE edubba_worker LOGIN"))
    database = Database(f"{postgresql_server}/roles")
    run.upgrade(database)
    database.close()
    yield f"{postgresql_server}/roles"
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE roles WITH (FORCE)"))
        connection.execute(text("DROP ROLE edubba_web"))
        connection.execute(text("DROP ROLE edubba_worker"))
    admin.dispose()
