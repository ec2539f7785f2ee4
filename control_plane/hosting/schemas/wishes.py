"""What a tenant.yml comes to, over HTTP."""

from typing import Any

from pydantic import BaseModel, Field

from control_plane.hosting.rules import (
    Difference,
    HostingStatus,
    JoinVerdict,
    WishVerdict,
)
from control_plane.hosting.schemas.requests import CostOut, PlanOut, RequestOut
from control_plane.tenancy.schemas import ResourceUse


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


class JoinOut(BaseModel):
    """What one attachment of a declared hosting comes to."""

    hosting: str = Field(description="The application's name")
    target: str = Field(description="The database's name")
    variable: str
    verdict: JoinVerdict
    attachment: str | None = Field(description="Null if it isn't there, or not yet")


class WishesOut(BaseModel):
    """What a tenant.yml comes to."""

    agency: str
    changed: int = Field(description="How many requests it becomes")
    items: list[WishOut]
    undeclared: list[UndeclaredOut]
    attachments: list[JoinOut]
    cost: CostOut = Field(description="Of all that would be, or is, asked for")
    saves: CostOut = Field(description="By all that would end, or is asked to end")
    remaining: list[ResourceUse]
