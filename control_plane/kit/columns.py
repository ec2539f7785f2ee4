"""Column types that every table uses the same way."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, String
from sqlmodel import Field

from control_plane.kit.db import JsonColumn, UtcDateTime
from control_plane.kit.ids import ID_MAX_LENGTH


def id_column() -> Any:
    """Return the primary key of a table whose rows have an id of ours."""
    return Field(primary_key=True, max_length=ID_MAX_LENGTH)


def ref(
    target: str, *, nullable: bool = False, index: bool = True, primary_key: bool = False
) -> Any:
    """Return a reference to another table's id, such as `agency.id`, by name alone."""
    column: Column[str] = Column(
        String(ID_MAX_LENGTH),
        ForeignKey(target),
        nullable=nullable,
        index=index and not primary_key,
        primary_key=primary_key,
    )
    return Field(default=None, sa_column=column) if nullable else Field(sa_column=column)


def moment(*, nullable: bool = False, index: bool = False) -> Any:
    """Return a column of aware UTC time."""
    column: Column[datetime] = Column(UtcDateTime, nullable=nullable, index=index)
    return Field(default=None, sa_column=column) if nullable else Field(sa_column=column)


def json_column(*, nullable: bool = False) -> Any:
    """Return a column of JSON."""
    column: Column[Any] = Column(JsonColumn, nullable=nullable)
    return Field(default=None, sa_column=column) if nullable else Field(sa_column=column)


def one_of(column: str, values: list[str]) -> CheckConstraint:
    """Return the CHECK that keeps a text column to a closed list."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)
