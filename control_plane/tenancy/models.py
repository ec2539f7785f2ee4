"""Agencies, regions and tenants, what they may use, and what is reserved for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from control_plane.kit.columns import id_column, json_column, moment, one_of, ref
from control_plane.tenancy.rules import (
    RegionKind,
    RegionState,
    ReservationState,
    Resource,
    TenantStatus,
)


class Agency(SQLModel, table=True):
    """An official institution."""

    __tablename__ = "agency"

    id: str = id_column()
    slug: str = Field(max_length=40, unique=True)
    name_ar: str = Field(max_length=200)
    name_en: str = Field(max_length=200)
    currency: str = Field(default="IQD", max_length=3)
    created_at: datetime = moment()
    suspended_at: datetime | None = moment(nullable=True)


class Region(SQLModel, table=True):
    """A configured cloud; `epoch` grows when the database is restored from a copy."""

    __tablename__ = "region"
    __table_args__ = (
        one_of("kind", [kind.value for kind in RegionKind]),
        one_of("state", [state.value for state in RegionState]),
    )

    id: str = id_column()
    name: str = Field(max_length=40, unique=True)
    kind: str = Field(max_length=16)
    state: str = Field(default=RegionState.OPEN, max_length=8)  # as operators decide
    is_served: bool = True  # whether the settings of the worker name it
    memory_mib: int | None = Field(default=None, sa_column=Column(BigInteger))  # for servers
    epoch: int = 1
    created_at: datetime = moment()
    observed_at: datetime | None = moment(nullable=True)
    orphans: list[dict[str, Any]] | None = json_column(
        nullable=True
    )  # tagged, but no row claims it


class AgencyRegion(SQLModel, table=True):
    """A region that an agency's new tenants may be in; no row: whichever is open."""

    __tablename__ = "agency_region"

    agency_id: str = ref("agency.id", primary_key=True)
    region_id: str = ref("region.id", primary_key=True)
    is_default: bool = False  # where they are, if nothing else is said


class RegionImage(SQLModel, table=True):
    """A prepared image that the region was seen to have; the newest of a family is offered."""

    __tablename__ = "region_image"

    region_id: str = ref("region.id", primary_key=True)
    digest: str = Field(primary_key=True, max_length=80)
    family: str = Field(max_length=40)
    first_seen_at: datetime = moment()
    last_seen_at: datetime = moment()
    is_current: bool = True


class Tenant(SQLModel, table=True):
    """An agency's isolated space in one region."""

    __tablename__ = "tenant"
    __table_args__ = (
        one_of("status", [status.value for status in TenantStatus]),
        Index(
            "uq_tenant_present",
            "region_id",
            "agency_id",
            "name",
            unique=True,
            sqlite_where=text("status <> 'ended'"),
            postgresql_where=text("status <> 'ended'"),
        ),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    region_id: str = ref("region.id")
    name: str = Field(max_length=40)
    status: str = Field(max_length=16)
    created_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True)


class Allocation(SQLModel, table=True):
    """A serial number of a region, from which addresses, uids and interface names derive."""

    __tablename__ = "allocation"
    __table_args__ = (UniqueConstraint("region_id", "serial"), UniqueConstraint("subject_id"))

    id: str = id_column()
    region_id: str = ref("region.id")
    serial: int
    uid_base: int = Field(sa_column=Column(BigInteger, nullable=False))
    v4: str = Field(max_length=15)
    v6: str | None = Field(default=None, max_length=39)
    subject_id: str | None = Field(default=None, max_length=32)  # the hosting; null when free
    allocated_at: datetime = moment()
    free_after: datetime | None = moment(nullable=True)  # quarantine before reuse


class Quota(SQLModel, table=True):
    """How much of a resource an agency may have at once; no row: none."""

    __tablename__ = "quota"
    __table_args__ = (one_of("resource", [r.value for r in Resource if r != Resource.COST]),)

    agency_id: str = ref("agency.id", primary_key=True)
    resource: str = Field(primary_key=True, max_length=16)
    amount: int = Field(sa_column=Column(BigInteger, nullable=False))


class Budget(SQLModel, table=True):
    """What an agency's hostings may cost together, in micro-units per hour."""

    __tablename__ = "budget"

    agency_id: str = ref("agency.id", primary_key=True)
    currency: str = Field(max_length=3)
    micros_per_hour: int = Field(sa_column=Column(BigInteger, nullable=False))


class Reservation(SQLModel, table=True):
    """What one hosting takes of a quota or of the budget."""

    __tablename__ = "reservation"
    __table_args__ = (
        UniqueConstraint("subject_id", "resource"),
        one_of("resource", [r.value for r in Resource]),
        one_of("state", [s.value for s in ReservationState]),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    subject_id: str = Field(max_length=32)  # the hosting
    resource: str = Field(max_length=16)
    amount: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: str = Field(max_length=16)
    created_at: datetime = moment()
    changed_at: datetime = moment()
