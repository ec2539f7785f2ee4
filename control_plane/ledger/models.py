"""The ledger's tables. An entry never changes, except that it gets its place and may be redacted.

There are no foreign keys: the ledger is below every room, and outlives what it tells of.
"""

import json
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from control_plane.kit.columns import id_column, moment
from control_plane.kit.ids import ID_MAX_LENGTH
from control_plane.ledger.leaf import Leaf, format_time

_PENDING = text("leaf_index is null")


class LedgerLog(SQLModel, table=True):
    """The one log of this installation: its name, and its key once the worker has told it."""

    __tablename__ = "ledger_log"

    id: str = id_column()
    origin: str = Field(max_length=200)
    vkey: str | None = Field(default=None, max_length=300)
    created_at: datetime = moment()


class LedgerEntry(SQLModel, table=True):
    """Who did what to which thing; `leaf_index` is its place once sequenced, and the order.

    `payload` is the canonical JSON that was committed to, letter by letter: a JSON column would
    spell it anew. It and the salt are gone once redacted.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint("(payload is null) = (salt is null)", name="redacted_whole"),
        Index(
            "ix_ledger_entry_pending",
            "created_at",
            "id",
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        ),
        Index("ix_ledger_entry_subject", "subject_id", "leaf_index"),
        Index("ix_ledger_entry_agency", "agency_id", "leaf_index"),
        Index("ix_ledger_entry_actor", "actor_id", "leaf_index"),
        Index("ix_ledger_entry_action", "action", "leaf_index"),
    )

    id: str = id_column()
    created_at: datetime = moment()
    actor_id: str = Field(max_length=64)
    action: str = Field(max_length=64)
    subject_id: str = Field(max_length=64)
    agency_id: str | None = Field(default=None, max_length=ID_MAX_LENGTH)
    payload: str | None = Field(default=None, sa_column=Column(Text))
    salt: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    commitment: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    leaf_index: int | None = Field(default=None, sa_column=Column(BigInteger, unique=True))

    def leaf(self) -> Leaf:
        """Return what the tree holds of this entry, built from its columns."""
        return Leaf.model_construct(  # unchecked: a row altered by hand must still reach an export
            id=self.id,
            at=format_time(self.created_at),
            actor=self.actor_id,
            action=self.action,
            subject=self.subject_id,
            agency=self.agency_id,
            commitment=self.commitment.hex(),
        )

    @property
    def facts(self) -> dict[str, Any] | None:
        """The payload, None once redacted."""
        return None if self.payload is None else cast("dict[str, Any]", json.loads(self.payload))


class LedgerNode(SQLModel, table=True):
    """The hash of one perfect subtree, found by the leaf that completed it and its level."""

    __tablename__ = "ledger_node"

    last_leaf: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    level: int = Field(primary_key=True)
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LedgerCheckpoint(SQLModel, table=True):
    """The head of the tree at one size: committed first, signed afterwards (`note`)."""

    __tablename__ = "ledger_checkpoint"

    tree_size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: str | None = Field(default=None, sa_column=Column(Text))
    created_at: datetime = moment()
