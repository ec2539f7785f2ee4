"""Kinds of hosting as data: immutable versions, and what their sizes cost from when on."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, UniqueConstraint
from sqlmodel import Field, SQLModel

from control_plane.kit.columns import id_column, json_column, moment


class BlueprintVersion(SQLModel, table=True):
    """One state of a blueprint, named by the digest of its canonical form."""

    __tablename__ = "blueprint_version"

    id: str = id_column()
    name: str = Field(max_length=40, index=True)
    digest: str = Field(max_length=71, unique=True)  # sha256:…
    spec: dict[str, Any] = json_column()
    created_at: datetime = moment()
    is_current: bool = True


class Price(SQLModel, table=True):
    """What a size of a blueprint costs per hour from a moment on; the past is never changed."""

    __tablename__ = "price"
    __table_args__ = (UniqueConstraint("blueprint", "size", "currency", "effective_from"),)

    id: str = id_column()
    blueprint: str = Field(max_length=40)
    size: str = Field(max_length=40)
    currency: str = Field(max_length=3)
    micros_per_hour: int = Field(sa_column=Column(BigInteger, nullable=False))
    effective_from: datetime = moment()
