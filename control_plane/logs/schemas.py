"""What is shown of logs over HTTP."""

from datetime import datetime

from pydantic import BaseModel, Field

from control_plane.kit.envelope import DEFAULT_LIMIT, Cursor, Limit, PageOut
from control_plane.logs.models import LogLine


class LogQuery(BaseModel):
    """Which lines are wanted."""

    service: str = Field("", max_length=32, pattern=r"^[a-z0-9-]*$", description="Of it alone")
    after: int | None = Field(
        None, ge=0, le=1 << 62, description="The first lines behind this number, oldest first"
    )
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


class LogLineOut(BaseModel):
    """One line that a service of a hosting wrote."""

    number: int = Field(description="Grows in the order in which lines came")
    service: str
    at: datetime
    text: str
    lost: int = Field(description="Bytes that were written here and not kept; then no text")

    @classmethod
    def of(cls, line: LogLine) -> "LogLineOut":
        """Show a row."""
        return cls(**line.model_dump(include={"number", "service", "at", "text", "lost"}))


class LogPageOut(PageOut[LogLineOut]):
    """A page of lines, and when the hosting's server was asked for them last."""

    collected_at: datetime | None


class CollectionOut(BaseModel):
    """Whether a look at a hosting's log is on its way."""

    collected_at: datetime | None = Field(description="When its server was asked last")
    asked_at: datetime | None = Field(description="When somebody wanted it last")
    is_under_way: bool
