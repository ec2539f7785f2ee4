"""What goes in and out of attachments over HTTP; no password does."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from control_plane.hosting.queries import AttachmentView
from control_plane.identity.schemas import In


class AttachmentIn(In):
    """To what a hosting shall be attached."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"target": "health:records"}]}
    )

    target: str = Field(max_length=100, description="`agency:name` or id of the other hosting")


class AttachmentOut(BaseModel):
    """What a hosting may reach of another one of its tenant."""

    id: str
    hosting: str
    target: str
    names: dict[str, str] = Field(description="What the two are called")
    status: str
    variable: str = Field(description="The environment variable that tells the application")
    port: int
    created_at: datetime
    created_by: str
    detached_at: datetime | None

    @classmethod
    def of(cls, view: AttachmentView) -> "AttachmentOut":
        """Show a view."""
        row = view.attachment
        return cls(
            id=row.id,
            hosting=row.hosting_id,
            target=row.target_id,
            names={"hosting": view.client, "target": view.target},
            status=row.status,
            variable=row.variable,
            port=row.port,
            created_at=row.created_at,
            created_by=row.created_by,
            detached_at=row.detached_at,
        )
