"""What is shown of runs over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from control_plane.runs.models import Run, RunEvent


class RunOut(BaseModel):
    """One execution of a playbook."""

    id: str
    hosting: str
    playbook: str
    status: str
    reason: str = Field(description="One word, if it failed")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    counts: dict[str, int] | None = Field(description="How many tasks ended how")
    result: dict[str, Any] | None = Field(description="What the play declared")
    output: str = Field(description="What people read where it went wrong")

    @classmethod
    def of(cls, run: Run) -> "RunOut":
        """Show a row."""
        row = run.model_dump(exclude={"agency_id", "hosting_id", "wish_digest", "pid"})
        return cls(hosting=run.hosting_id, **row)


class RunEventOut(BaseModel):
    """One line of a run's timeline."""

    number: int
    at: datetime
    kind: str
    task: str
    text: str


class RunStoryOut(RunOut):
    """A run with its timeline."""

    events: list[RunEventOut]

    @classmethod
    def told(cls, run: Run, events: list[RunEvent]) -> "RunStoryOut":
        """Show a row and its events."""
        items = [RunEventOut(**event.model_dump(exclude={"run_id"})) for event in events]
        return cls(**RunOut.of(run).model_dump(), events=items)
