"""Databases that are emptied and used again: an engine keeps what it has learnt of the tables.

A new engine compiles every statement anew, and a new connection to PostgreSQL plans all of them:
together that costs more than most tests do themselves.
"""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

from control_plane.kit.db import METADATA, Database


@dataclass
class Files:
    """SQLite databases in a folder; one is emptied by a copy of the template."""

    folder: Path
    template: Path

    def make(self) -> Database:
        """Make a database with all tables."""
        path = self.folder / f"{uuid.uuid4().hex}.db"
        shutil.copyfile(self.template, path)
        return Database(f"sqlite:///{path}")

    def empty(self, database: Database) -> None:
        """Take all rows out."""
        database.close()
        path = Path(str(database.url.database))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.template, path)

    def drop(self, database: Database) -> None:
        """Nothing to do: the folder goes with all that is in it."""


@dataclass
class Schemas:
    """Databases of a PostgreSQL server that has a template; one is emptied by deleting all rows."""

    server: str
    template: str

    def make(self) -> Database:
        """Make a database with all tables."""
        name = f"t_{uuid.uuid4().hex}"
        run_as_owner(self.server, f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return Database(f"{self.server}/{name}")

    def empty(self, database: Database) -> None:
        """Take all rows out, in any order."""
        tables = (table.name for table in METADATA.sorted_tables)
        deletions = "; ".join(f'DELETE FROM "{name}"' for name in tables)  # noqa: S608  # our own names
        with database.engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.exec_driver_sql(deletions)

    def drop(self, database: Database) -> None:
        """Remove it, whoever is connected."""
        run_as_owner(self.server, f"DROP DATABASE {database.url.database} WITH (FORCE)")


@dataclass
class Store:
    """Databases of one engine: as many as tests have wanted at once."""

    kind: Files | Schemas
    _free: list[Database] = field(default_factory=list)

    @contextmanager
    def lend(self) -> Iterator[Database]:
        """Give an empty database with all tables."""
        database = self._free.pop() if self._free else self.kind.make()
        yield database
        if _is_quiet(database):
            self.kind.empty(database)
            self._free.append(database)
        else:
            self._discard(database)

    def close(self) -> None:
        """Remove all."""
        for database in self._free:
            self._discard(database)

    def _discard(self, database: Database) -> None:
        database.close()
        self.kind.drop(database)


def _is_quiet(database: Database) -> bool:
    """Say whether nobody holds a connection still, as a thread that a test left behind would."""
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout() == 0


def run_as_owner(server: str, statement: str) -> None:
    """Run what can't be a part of a transaction."""
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
