"""What goes in and out of requests, plans and decisions over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.hosting.models import Decision, Plan
from control_plane.hosting.queries import RequestView
from control_plane.hosting.rules import (
    Answer,
    Hostname,
    Inputs,
    NewHosting,
    Reason,
    RequestKind,
    RequestStatus,
    Slug,
    Title,
    per_month,
    spell,
)
from control_plane.identity.schemas import In
from control_plane.kit.money import Money
from control_plane.tenancy.rules import PlacedBy
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
    placed_by: PlacedBy | None  # of a new hosting: why it is in its region
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
                "placed_by": row.wish.get("placed_by"),
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
