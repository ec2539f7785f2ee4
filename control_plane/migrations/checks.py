"""Changing what a column may hold, on both databases.

SQLite has no such statement, and making the table anew would take the rows that refer to it along.
Its manual (lang_altertable, "Making Other Kinds Of Table Schema Changes") gives the way for changes
that touch no row: the table's text is written anew.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def replace_check(table: str, column: str, before: Sequence[str], after: Sequence[str]) -> None:
    """Let a column hold `after` instead of `before`. Raises LookupError if it held otherwise."""
    name = op.f(f"ck_{table}_{column}")
    old, new = (f"{column} in ({_listed(values)})" for values in (before, after))
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.drop_constraint(name, table, type_="check")
        op.create_check_constraint(name, table, new)
        return
    _rewrite(connection, table, old, new)


def let_be_null(table: str, column: str, kind: sa.String) -> None:
    """Let a text column be without a value."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.alter_column(table, column, existing_type=kind, nullable=True)
        return
    as_it_is = f"{column} {kind.compile(connection.dialect)}"
    _rewrite(connection, table, f"{as_it_is} NOT NULL", as_it_is)


def _rewrite(connection: sa.Connection, table: str, old: str, new: str) -> None:
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_schema SET sql = replace(sql, :old, :new) "
            "WHERE type = 'table' AND name = :table AND instr(sql, :old)"
        ),
        {"old": old, "new": new, "table": table},
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed.rowcount != 1:
        raise LookupError(f"{table} has no {old}")


def _listed(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
