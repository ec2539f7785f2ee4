"""The engine's tables: lives, their timelines, and the switch that pauses it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from control_plane.kit.db import JsonColumn, UtcDateTime
from control_plane.kit.ids import ID_MAX_LENGTH


class LifeState(StrEnum):
    """`live` moves by itself, `stopped` waits for a person, `done` is over."""

    LIVE = "live"
    STOPPED = "stopped"
    DONE = "done"


class Life(SQLModel, table=True):
    """The durable row that drives one resource from wish to fact."""

    __tablename__ = "life"
    __table_args__ = (
        UniqueConstraint("kind", "subject_id"),
        CheckConstraint("state in ('live', 'stopped', 'done')", name="state"),
        Index("ix_life_due", "state", "due_at"),
    )

    id: str = Field(primary_key=True, max_length=ID_MAX_LENGTH)
    kind: str = Field(max_length=32)
    flow_version: int
    subject_id: str = Field(max_length=ID_MAX_LENGTH)
    agency_id: str | None = Field(default=None, max_length=ID_MAX_LENGTH, index=True)
    step: str = Field(max_length=32)
    state: str = Field(default=LifeState.LIVE, max_length=8)
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    entered_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    due_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    deadline_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    alerted_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    lease_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    lease_holder: str | None = Field(default=None, max_length=64)
    lease_counter: int = 0
    signals: int = 0
    attempts: int = 0
    why: str | None = Field(default=None, max_length=64)
    ending_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    is_winding_down: bool = False
    failure_code: str | None = Field(default=None, max_length=64)
    failure_facts: dict[str, Any] | None = Field(default=None, sa_column=Column(JsonColumn))


class TimelineEvent(SQLModel, table=True):
    """One thing that happened in a life, for the people who read its story."""

    __tablename__ = "timeline_event"

    id: str = Field(primary_key=True, max_length=ID_MAX_LENGTH)
    life_id: str = Field(foreign_key="life.id", max_length=ID_MAX_LENGTH, index=True)
    at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    step: str = Field(max_length=32)
    event: str = Field(max_length=64)
    attempt: int = 0
    facts: dict[str, Any] | None = Field(default=None, sa_column=Column(JsonColumn))


class EnginePause(SQLModel, table=True):
    """A row here pauses all lives of a kind (`*`: of every kind)."""

    __tablename__ = "engine_pause"

    kind: str = Field(primary_key=True, max_length=32)
    since: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    actor_id: str = Field(max_length=64)
    reason: str = Field(max_length=500)
