"""What goes in and out of tenancy over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.identity.models import KeystoneProject, Person, RoleGrant
from control_plane.identity.rules import Actor, Role
from control_plane.identity.schemas import Email, In, Locale, Name, PersonOut
from control_plane.kit.idempotency import shown_once
from control_plane.kit.money import HOURS_PER_MONTH, Money
from control_plane.tenancy.models import Agency, Budget, Region, Tenant
from control_plane.tenancy.rules import (
    RegionKind,
    RegionState,
    ReservationState,
    Resource,
    TenantStatus,
)

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$")]
Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Amount = Annotated[int, Field(ge=0, le=1 << 50)]
ForeignId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # of Keystone's
RoleName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
AgencyRole = Literal[Role.OWNER, Role.DEVELOPER, Role.VIEWER]


class AgencyIn(In):
    """An institution to be taken in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"slug": "health", "name_ar": "وزارة الصحة", "name_en": "Ministry of Health"}
            ]
        },
    )

    slug: Slug
    name_ar: Title
    name_en: Title
    currency: str = Field(default="IQD", pattern=r"^[A-Z]{3}$")


class AgencyOut(BaseModel):
    """An institution."""

    id: str
    slug: str
    name_ar: str
    name_en: str
    currency: str
    created_at: datetime
    suspended_at: datetime | None

    @classmethod
    def of(cls, agency: Agency) -> "AgencyOut":
        """Show a row."""
        return cls.model_validate(agency.model_dump())


class QuotaDocument(In):
    """How much an agency may have at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"servers": 10, "cpu_millis": 8000, "memory_mib": 8192, "disk_mib": 65536}]
        },
    )

    servers: Amount
    cpu_millis: Amount
    memory_mib: Amount
    disk_mib: Amount

    def amounts(self) -> dict[Resource, int]:
        """Return the amounts by resource."""
        return {Resource(name): amount for name, amount in self.model_dump().items()}

    @classmethod
    def of(cls, amounts: Mapping[Resource, int]) -> "QuotaDocument":
        """Show amounts."""
        return cls.model_validate({resource.value: n for resource, n in amounts.items()})


class BudgetDocument(In):
    """What an agency's hostings may cost together: micro-units (millionths) per hour."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"currency": "IQD", "micros_per_hour": 500_000_000}]},
    )

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    micros_per_hour: Amount


class BudgetOut(BaseModel):
    """The budget, also as people say it."""

    currency: str
    micros_per_hour: int
    per_month: str

    @classmethod
    def of(cls, agency: Agency, budget: Budget | None) -> "BudgetOut":
        """Show a row; no row is a budget of nothing."""
        micros = budget.micros_per_hour if budget else 0
        month = Money(agency.currency, micros).times(HOURS_PER_MONTH)
        return cls(currency=agency.currency, micros_per_hour=micros, per_month=str(month.rounded()))


class AgencyRegionsDocument(In):
    """Which regions an agency's new tenants may be in (none: any), and where they are first."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"allowed": ["baghdad", "basra"], "default": "basra"}]},
    )

    allowed: list[Slug] = Field(max_length=64)
    default: Slug | None = None


class AgencyDetailOut(AgencyOut):
    """An institution with its means; the answer's ETag guards a change of them."""

    quota: QuotaDocument
    budget: BudgetOut
    regions: AgencyRegionsDocument


class ResourceUse(BaseModel):
    """What is taken of one resource, and what is left."""

    resource: Resource
    limit: int
    held: int
    committed: int
    left: int


class UsageOut(BaseModel):
    """What an agency takes of its quota and (cost, in micro-units per hour) of its budget."""

    agency: str
    currency: str
    resources: list[ResourceUse]

    @classmethod
    def of(
        cls,
        agency: Agency,
        limits: Mapping[Resource, int],
        used: Mapping[Resource, Mapping[ReservationState, int]],
    ) -> "UsageOut":
        """Put limits beside what is used."""
        resources = [
            ResourceUse(
                resource=resource,
                limit=limits[resource],
                held=used[resource][ReservationState.HELD],
                committed=used[resource][ReservationState.COMMITTED],
                left=max(0, limits[resource] - sum(used[resource].values())),
            )
            for resource in Resource
        ]
        return cls(agency=agency.slug, currency=agency.currency, resources=resources)


class MemberIn(In):
    """Somebody to get a role in the agency; who isn't known yet needs a name."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"email": "dev@health.example", "name": "Noor", "role": "developer"}]
        },
    )

    email: Email
    role: AgencyRole
    name: Name | None = None
    locale: Locale = "ar"


class MemberOut(BaseModel):
    """Somebody with a role in the agency."""

    person: PersonOut
    role: Role
    granted_at: datetime
    initial_password: str | None = shown_once("For somebody new, told once: to be handed over")

    @classmethod
    def of(cls, grant: RoleGrant, person: Person, password: str | None = None) -> "MemberOut":
        """Show a grant and its person."""
        return cls(
            person=PersonOut.of(person),
            role=Role(grant.role),
            granted_at=grant.granted_at,
            initial_password=password,
        )


class ProjectIn(In):
    """Whom the members of a project of Keystone shall be: our roles by those of Keystone."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"domain_id": "default", "roles": {"member": "developer"}}]
        },
    )

    domain_id: ForeignId
    roles: dict[RoleName, AgencyRole] = Field(min_length=1, max_length=20)


class ProjectOut(BaseModel):
    """A project of Keystone whose members act for an agency."""

    project_id: str
    domain_id: str
    roles: dict[str, Role]
    mapped_at: datetime
    mapped_by: str

    @classmethod
    def of(cls, row: KeystoneProject) -> "ProjectOut":
        """Show a row."""
        return cls.model_validate(row.model_dump())


class RegionStateIn(In):
    """An operator's decision about a region, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": "closed", "reason": "Its power is rebuilt"}]},
    )

    state: RegionState
    reason: str = Field(min_length=1, max_length=500)


class RegionOut(BaseModel):
    """A configured cloud.

    `is_served`: the settings of the worker name it. `memory_mib`: what servers may have there
    altogether, as far as that is said.
    """

    id: str
    name: str
    kind: RegionKind
    state: RegionState
    is_served: bool
    memory_mib: int | None
    observed_at: datetime | None

    @classmethod
    def of(cls, region: Region) -> "RegionOut":
        """Show a row."""
        return cls.model_validate(region.model_dump(include=set(cls.model_fields)))


class TenantOut(BaseModel):
    """An agency's isolated space in a region; its first hosting made it."""

    id: str
    agency: str
    region: str
    name: str
    status: TenantStatus
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, tenant: Tenant, agency: Agency, region: Region) -> "TenantOut":
        """Show the rows."""
        shown = tenant.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**shown, "agency": agency.slug, "region": region.name})


class RegionsOut(BaseModel):
    """All regions: there are few."""

    items: list[RegionOut]


class Membership(BaseModel):
    """One's own roles in an agency."""

    id: str
    slug: str
    name_ar: str
    name_en: str
    roles: list[Role]


class MeOut(BaseModel):
    """Who one is here, and what one may; `token_id` is null with a token of Keystone."""

    id: str
    email: str | None
    name: str
    locale: str
    token_id: str | None
    centre_roles: list[Role]
    agencies: list[Membership]
    scopes: list[str] | None

    @classmethod
    def of(cls, actor: Actor, person: Person, agencies: Sequence[Agency]) -> "MeOut":
        """Show the actor."""
        return cls(
            **PersonOut.of(person).model_dump(),
            token_id=actor.token_id,
            centre_roles=sorted(actor.centre_roles),
            agencies=[
                Membership(
                    id=agency.id,
                    slug=agency.slug,
                    name_ar=agency.name_ar,
                    name_en=agency.name_en,
                    roles=sorted(actor.agency_roles[agency.id]),
                )
                for agency in agencies
            ],
            scopes=None if actor.scopes is None else sorted(s.value for s in actor.scopes),
        )
