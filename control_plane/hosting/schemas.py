"""What goes in and out of hosting over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.hosting.models import Decision, Plan, Setting
from control_plane.hosting.queries import HostingView, RequestView
from control_plane.hosting.rules import (
    Answer,
    Change,
    Difference,
    HostingStatus,
    Hostname,
    Inputs,
    NewHosting,
    Reason,
    RequestKind,
    RequestStatus,
    Slug,
    Title,
    WishVerdict,
    per_month,
    spell,
)
from control_plane.identity.schemas import In
from control_plane.kit.money import Money
from control_plane.tenancy.schemas import ResourceUse

Hash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_HASH = "sha256:5b0f3c2a8f6d1e4b7a9c0d2e4f6a8b0c1d3e5f7a9b1c3d5e7f9a0b2c4d6e8f01"


class RequestIn(In):
    """A hosting that shall be; what is left out of `region`, `tenant`, `hostname` is chosen."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "create",
                    "agency": "health",
                    "name": "website",
                    "title": "وزارة الصحة",
                    "blueprint": "static-site",
                    "size": "medium",
                    "inputs": {"contact_email": "web@health.example"},
                    "hostname": "health",
                    "reason": "The ministry's public website",
                }
            ]
        },
    )

    kind: Literal["create"]
    agency: Slug
    region: Slug | None = None
    tenant: Slug = "main"
    name: Slug
    title: Title = ""
    blueprint: Slug
    size: Slug
    inputs: Inputs = Field(default_factory=dict)
    hostname: Hostname | None = None
    reason: Reason = ""

    def wish(self) -> NewHosting:
        """Return what is wished."""
        return NewHosting(**self.model_dump(exclude={"kind"}))


class ApproveIn(In):
    """Yes to exactly the plan with this hash."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"plan_hash": _HASH, "reason": "As agreed"}]},
    )

    plan_hash: Hash
    reason: Reason = ""


class RejectIn(In):
    """No, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "Please use the size small first"}]},
    )

    reason: Annotated[Reason, Field(min_length=1)]
    plan_hash: Hash | None = None


class WithdrawIn(In):
    """Taken back, perhaps with a reason."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Not needed any more"}]}
    )

    reason: Reason = ""


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


class CostOut(BaseModel):
    """A price per hour in micro-units (millionths), and what it comes to in a month."""

    currency: str
    micros_per_hour: int
    per_hour: str
    per_month: str

    @classmethod
    def of(cls, currency: str, micros_per_hour: int) -> "CostOut":
        """Show a price per hour."""
        price = Money(currency, micros_per_hour)
        return cls(
            currency=currency,
            micros_per_hour=micros_per_hour,
            per_hour=spell(price),
            per_month=spell(per_month(price)),
        )


class DecisionOut(BaseModel):
    """One decider's answer to one version of a request."""

    id: str
    version: int
    plan_hash: str
    decider: str
    answer: Answer
    reason: str
    because: dict[str, str] | None
    decided_at: datetime

    @classmethod
    def of(cls, row: Decision) -> "DecisionOut":
        """Show a row."""
        return cls(
            id=row.id,
            version=row.request_version,
            plan_hash=row.plan_hash,
            decider=row.decider_id,
            answer=Answer(row.answer),
            reason=row.reason,
            because=row.because,
            decided_at=row.decided_at,
        )


class PlanOut(BaseModel):
    """What would be made, changed and destroyed; the hash is what is approved."""

    version: int
    hash: str
    body: dict[str, Any]
    cost: CostOut

    @classmethod
    def of(cls, row: Plan) -> "PlanOut":
        """Show a row."""
        cost = CostOut.of(row.currency, row.micros_per_hour)
        return cls(version=row.version, hash=row.hash, body=row.body, cost=cost)


class PolicyOut(BaseModel):
    """Which rule of the policy fitted, and its words in each language."""

    rule: str
    because: dict[str, str]


class RequestOut(BaseModel):
    """A request with its present plan."""

    id: str
    kind: RequestKind
    status: RequestStatus
    version: int
    agency: str
    hosting: str
    hosting_name: str
    reason: str
    submitted_by: str
    submitted_at: datetime
    closed_at: datetime | None
    policy: PolicyOut | None
    plan: PlanOut | None

    @classmethod
    def of(cls, view: RequestView) -> "RequestOut":
        """Show the rows."""
        row = view.request
        return cls.model_validate(
            {
                **row.model_dump(),
                "agency": view.agency,
                "hosting": row.hosting_id,
                "hosting_name": view.hosting,
                "policy": row.wish.get("policy"),
                "plan": PlanOut.of(view.plan) if view.plan else None,
            }
        )


class RequestDetailOut(RequestOut):
    """A request with all decisions, and what remains of its agency's quota and budget."""

    wish: dict[str, Any]
    decisions: list[DecisionOut]
    remaining: list[ResourceUse]

    @classmethod
    def whole(
        cls, view: RequestView, decisions: Sequence[Decision], remaining: list[ResourceUse]
    ) -> "RequestDetailOut":
        """Show the rows."""
        wish = {name: said for name, said in view.request.wish.items() if name != "policy"}
        return cls(
            **RequestOut.of(view).model_dump(),
            wish=wish,
            decisions=[DecisionOut.of(row) for row in decisions],
            remaining=remaining,
        )


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


class DifferenceOut(BaseModel):
    """A field in which what is there is not what is declared."""

    field: str
    present: Any
    wished: Any

    @classmethod
    def of(cls, difference: Difference) -> "DifferenceOut":
        """Show a difference."""
        return cls(field=difference.field, present=difference.present, wished=difference.wished)


class WishOut(BaseModel):
    """What one declared hosting comes to."""

    name: str
    verdict: WishVerdict
    hosting: str | None = Field(description="Null if it isn't there, or not yet")
    status: HostingStatus | None
    request: RequestOut | None = Field(description="Null in a plan, and for what is unchanged")
    plan: PlanOut | None = Field(description="What would be, or is, asked for")
    approved_by: str | None = Field(description="The policy that approves it by itself")
    differences: list[DifferenceOut]


class UndeclaredOut(BaseModel):
    """A hosting of the same tenant that the file doesn't name; it is left alone."""

    name: str
    hosting: str
    status: HostingStatus


class WishesOut(BaseModel):
    """What a tenant.yml comes to."""

    agency: str
    changed: int = Field(description="How many requests it becomes")
    items: list[WishOut]
    undeclared: list[UndeclaredOut]
    cost: CostOut = Field(description="Of all that would be, or is, asked for")
    saves: CostOut = Field(description="By all that would end, or is asked to end")
    remaining: list[ResourceUse]
