"""Bring a database to this version of the product, or say whether it is there."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from control_plane.kit.db import Database
from control_plane.migrations import grants
from control_plane.migrations.tables import METADATA


def upgrade(db: Database) -> None:
    """Apply all migrations that the database lacks."""
    with _connection(db) as connection:
        command.upgrade(_config(connection), "head")
        if db.is_postgresql:
            grants.apply(connection)
        connection.commit()


def is_at_head(db: Database) -> bool:
    """Whether the database is exactly at this version."""
    with _connection(db) as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        return present == ScriptDirectory.from_config(_config(connection)).get_current_head()


def list_differences(db: Database) -> list[object]:
    """Return what the tables in code have and the migrated database has not, or otherwise."""
    with _connection(db) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, METADATA))


def new_revision(db: Database, sentence: str, revision: str) -> None:
    """Write a migration from the differences, to be read and mended by its author."""
    with _connection(db) as connection:
        command.revision(_config(connection), message=sentence, autogenerate=True, rev_id=revision)


def _connection(db: Database) -> Connection:
    return db.engine.connect().execution_options(sqlite_mode="IMMEDIATE")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
