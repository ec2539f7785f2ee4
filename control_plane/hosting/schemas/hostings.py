"""What goes in and out of hostings and their settings over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.hosting.models import Setting
from control_plane.hosting.queries import HostingView
from control_plane.hosting.rules import (
    Change,
    HostingStatus,
    Inputs,
    Reason,
    Slug,
    Title,
)
from control_plane.hosting.schemas.requests import CostOut
from control_plane.identity.schemas import In


class EndIn(In):
    """Why a hosting shall end."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Replaced by a new site"}]}
    )

    reason: Annotated[Reason, Field(min_length=1)]


class ChangeIn(In):
    """What shall be otherwise; what is left out stays as it is. `inputs` are all of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"size": "large", "reason": "The exam results are due"}]},
    )

    size: Slug | None = None
    title: Title | None = None
    inputs: Inputs | None = None
    image: Literal["newest"] | None = None
    reason: Reason = ""

    def change(self, reference: str) -> Change:
        """Return what is wished of a hosting."""
        said = self.model_dump(exclude={"image"})
        return Change(hosting=reference, newest_image=self.image is not None, **said)


class RestoreIn(In):
    """Why a hosting shall come back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Ended by mistake"}]}
    )

    reason: Reason = ""


class SuspendIn(In):
    """Why a hosting shall be closed; its agency reads it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Under investigation"}]}
    )

    reason: Annotated[Reason, Field(min_length=1)]


class ResumeIn(In):
    """Why a hosting shall be open again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Cleared up"}]}
    )

    reason: Reason = ""


class SettingsIn(In):
    """Variables to set (null removes), and secrets, which are never shown again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "settings": {"LANGUAGE": "ar", "OLD_FLAG": None},
                    "secrets": {"SMTP_PASSWORD": "correct horse battery staple"},
                }
            ]
        },
    )

    settings: dict[str, str | None] = Field(default_factory=dict, max_length=200)
    secrets: dict[str, str] = Field(default_factory=dict, max_length=200)


class SettingOut(BaseModel):
    """A variable; the value of a secret is null."""

    name: str
    value: str | None
    is_secret: bool
    changed_at: datetime
    changed_by: str

    @classmethod
    def of(cls, row: Setting) -> "SettingOut":
        """Show a row."""
        is_secret = row.ciphertext is not None
        return cls.model_validate({**row.model_dump(), "is_secret": is_secret})


class SettingsOut(BaseModel):
    """All variables of a hosting, and the generation of the wish they belong to."""

    generation: int
    items: list[SettingOut]


class HostingOut(BaseModel):
    """A hosting: its wish and its fact."""

    id: str
    reference: str
    agency: str
    name: str
    title: str
    status: HostingStatus
    blueprint: str
    size: str
    inputs: dict[str, Any]
    hostname: str | None
    url: str | None
    generation: int
    observed_generation: int
    wished_deployment_id: str | None
    live_deployment_id: str | None
    cost: CostOut | None
    created_at: datetime
    active_at: datetime | None
    observed_at: datetime | None
    probed_at: datetime | None
    probe_failed_at: datetime | None
    drift: list[str] | None
    ended_at: datetime | None
    purge_after: datetime | None
    legal_hold: bool
    suspended_at: datetime | None
    suspended_by: str | None
    suspended_why: str
    is_suspended_by_centre: bool

    @classmethod
    def of(cls, view: HostingView) -> "HostingOut":
        """Show the rows."""
        plan = view.plan
        return cls.model_validate(
            {
                **view.hosting.model_dump(),
                "reference": f"{view.agency}:{view.hosting.name}",
                "agency": view.agency,
                "blueprint": view.blueprint,
                "hostname": view.hostname,
                "url": f"https://{view.hostname}/" if view.hostname else None,
                "cost": CostOut.of(plan.currency, plan.micros_per_hour) if plan else None,
            }
        )


class HostingDetailOut(HostingOut):
    """A hosting with where it is, what it is made from, and what is open about it."""

    region: str
    tenant: str
    image_digest: str
    open_request: str | None
