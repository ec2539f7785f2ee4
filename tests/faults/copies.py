"""A database that can be put back to where it was, quickly: each kill begins where its step did."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, text

from control_plane.kit.db import METADATA, Database


class Copies(Protocol):
    """Copies of all rows by name; nobody else may be connected in the meantime."""

    def save(self, name: str) -> None: ...

    def restore(self, name: str) -> None: ...


def copies_of(db: Database) -> Copies:
    return SchemaCopies(db) if db.is_postgresql else FileCopies(db)


class FileCopies:
    """SQLite is a file, with two more beside it while somebody is connected or has crashed."""

    def __init__(self, db: Database) -> None:
        self._db, self._path = db, Path(str(db.url.database))

    def save(self, name: str) -> None:
        self._db.close()  # the last one to leave empties the log into the file
        shutil.copyfile(self._path, self._place(name))

    def restore(self, name: str) -> None:
        self._db.close()
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self._place(name), self._path)

    def _place(self, name: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{name}")


class SchemaCopies:
    """In PostgreSQL a copy is a schema of the same tables: copying a database takes far longer."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tables = [f'"{table.name}"' for table in METADATA.sorted_tables]
        self._made: set[str] = set()

    def save(self, name: str) -> None:
        with self._connected() as connection:
            if name not in self._made:
                connection.exec_driver_sql(f"CREATE SCHEMA {name}")
                for table in self._tables:
                    connection.exec_driver_sql(f"CREATE TABLE {name}.{table} (LIKE public.{table})")
                self._made.add(name)
            self._copy(connection, "public", name)

    def restore(self, name: str) -> None:
        with self._connected() as connection:
            # The rows fit together, as they did when they were saved: no need to look again.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            self._copy(connection, name, "public")

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._db.engine.begin() as connection:
            yield connection

    def _copy(self, connection: Connection, source: str, target: str) -> None:
        steps = (
            f"DELETE FROM {target}.{table}; INSERT INTO {target}.{table} TABLE {source}.{table}"  # noqa: S608  # our own names
            for table in self._tables
        )
        connection.exec_driver_sql("; ".join(steps))  # at once: one answer to wait for
