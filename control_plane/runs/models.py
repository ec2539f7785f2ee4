"""Runs of playbooks, and the timeline of each that people read."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from control_plane.kit.columns import id_column, json_column, moment, one_of, ref
from control_plane.ports.automation.port import EventKind
from control_plane.runs.rules import KEPT_STATES


class Run(SQLModel, table=True):
    """One execution of a playbook for one hosting; no secret is in any column."""

    __tablename__ = "run"
    __table_args__ = (one_of("status", [state.value for state in KEPT_STATES]),)

    id: str = id_column()
    agency_id: str = ref("agency.id")
    hosting_id: str = ref("hosting.id")
    playbook: str = Field(max_length=80)
    wish_digest: str = Field(max_length=64)  # of all that the run is to make so
    status: str = Field(max_length=16)
    reason: str = Field(default="", max_length=64)
    pid: int | None = None  # the process that all of it descends from
    heartbeat_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    started_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)
    counts: dict[str, int] | None = json_column(nullable=True)
    result: dict[str, Any] | None = json_column(nullable=True)  # what the play declared
    output: str = Field(default="", sa_column=Column(Text, nullable=False))


class RunEvent(SQLModel, table=True):
    """One line of a run's timeline; numbers begin at 1."""

    __tablename__ = "run_event"
    __table_args__ = (one_of("kind", [kind.value for kind in EventKind]),)

    run_id: str = ref("run.id", primary_key=True)
    number: int = Field(primary_key=True)
    at: datetime = moment()
    kind: str = Field(max_length=16)
    task: str = Field(default="", sa_column=Column(Text, nullable=False))
    text: str = Field(default="", sa_column=Column(Text, nullable=False))
