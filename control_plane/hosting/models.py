"""Hostings, the requests for them, the plans that were decided on, and the decisions."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from control_plane.hosting.rules import (
    Answer,
    AttachmentStatus,
    HostingStatus,
    RequestKind,
    RequestStatus,
    attachment_status,
)
from control_plane.kit.columns import id_column, json_column, moment, one_of, ref

_PRESENT = text("status not in ('cancelled', 'ended', 'purged')")


class Hosting(SQLModel, table=True):
    """One thing hosted: the wish (`generation`) and the fact (`observed_generation`) apart."""

    __tablename__ = "hosting"
    __table_args__ = (
        one_of("status", [status.value for status in HostingStatus]),
        Index(
            "uq_hosting_name_present",
            "agency_id",
            "name",
            unique=True,
            sqlite_where=_PRESENT,
            postgresql_where=_PRESENT,
        ),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    region_id: str = ref("region.id")
    tenant_id: str = ref("tenant.id")
    name: str = Field(max_length=40)
    title: str = Field(default="", max_length=200)
    blueprint_version_id: str = ref("blueprint_version.id")
    size: str = Field(max_length=40)
    inputs: dict[str, Any] = json_column()
    image_digest: str = Field(max_length=80)
    status: str = Field(max_length=16)
    generation: int = 1
    observed_generation: int = 0
    wished_deployment_id: str | None = Field(default=None, max_length=32)
    live_deployment_id: str | None = Field(default=None, max_length=32)
    created_at: datetime = moment()
    active_at: datetime | None = moment(nullable=True)
    observed_at: datetime | None = moment(nullable=True)
    probed_at: datetime | None = moment(nullable=True)
    probe_failed_at: datetime | None = moment(nullable=True)
    configured_wish: str | None = Field(default=None, max_length=64)  # of the last run that did it
    configured_as: str | None = Field(default=None, max_length=64)  # how the server was after it
    drift: list[str] | None = json_column(nullable=True)  # what the last watch found and mended
    logs_asked_at: datetime | None = moment(nullable=True)  # when somebody last wanted them anew
    ended_at: datetime | None = moment(nullable=True)
    purge_after: datetime | None = moment(nullable=True)
    legal_hold: bool = False
    # The wish to be closed; `status` says whether it is.
    suspended_at: datetime | None = moment(nullable=True)
    suspended_by: str | None = Field(default=None, max_length=64)
    is_suspended_by_centre: bool = False
    suspended_why: str = Field(default="", max_length=500)


class Setting(SQLModel, table=True):
    """An environment variable of a hosting: open (`value`), or sealed to the worker's keyring."""

    __tablename__ = "setting"
    __table_args__ = (UniqueConstraint("hosting_id", "name"),)

    id: str = id_column()
    agency_id: str = ref("agency.id")
    hosting_id: str = ref("hosting.id")
    name: str = Field(max_length=64)
    value: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    key_id: str | None = Field(default=None, max_length=24)
    version: int | None = None
    size: int  # bytes of the value, also of a secret one
    changed_at: datetime = moment()
    changed_by: str = Field(max_length=64)


class Attachment(SQLModel, table=True):
    """What one hosting may reach of another of its tenant: one port, as one user."""

    __tablename__ = "attachment"

    id: str = id_column()
    agency_id: str = ref("agency.id")
    tenant_id: str = ref("tenant.id")
    hosting_id: str = ref("hosting.id")  # whose application connects
    target_id: str = ref("hosting.id")
    variable: str = Field(max_length=64)  # the application finds the address in it
    port: int
    user: str = Field(max_length=40)
    ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    key_id: str | None = Field(default=None, max_length=24)
    version: int | None = None
    address: str | None = Field(default=None, max_length=45)
    has_way: bool = False  # what opens its port may be there
    target_knows: bool = False  # its server has the user
    client_knows: bool = False  # its server has the address and the way there
    created_at: datetime = moment()
    created_by: str = Field(max_length=64)
    detached_at: datetime | None = moment(nullable=True)  # the wish; `status` says whether it is so

    @property
    def status(self) -> AttachmentStatus:
        """Where it is, by what the two sides know."""
        return attachment_status(
            is_wished=self.detached_at is None,
            target_knows=self.target_knows,
            client_knows=self.client_knows,
        )


class RecipientKey(SQLModel, table=True):
    """The public key to which secrets are sealed: the worker publishes it, the web reads it."""

    __tablename__ = "recipient_key"

    key_id: str = Field(primary_key=True, max_length=24)
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    published_at: datetime = moment()


class Request(SQLModel, table=True):
    """An agency's wish to create, change or end a hosting."""

    __tablename__ = "request"
    __table_args__ = (
        one_of("kind", [kind.value for kind in RequestKind]),
        one_of("status", [status.value for status in RequestStatus]),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    hosting_id: str = ref("hosting.id")
    kind: str = Field(max_length=8)
    status: str = Field(max_length=16)
    version: int = 1  # grows when the plan had to change; decisions are on one version
    wish: dict[str, Any] = json_column()
    reason: str = Field(default="", max_length=500)
    submitted_by: str = Field(max_length=64)
    submitted_at: datetime = moment()
    closed_at: datetime | None = moment(nullable=True)


class Plan(SQLModel, table=True):
    """Exactly what one version of a request would make, change and destroy, and its cost."""

    __tablename__ = "plan"

    request_id: str = ref("request.id", primary_key=True)
    version: int = Field(primary_key=True)
    hash: str = Field(max_length=71)
    body: dict[str, Any] = json_column()
    currency: str = Field(max_length=3)
    micros_per_hour: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = moment()


class Decision(SQLModel, table=True):
    """One person's or policy's answer to one version of a request."""

    __tablename__ = "decision"
    __table_args__ = (
        UniqueConstraint("request_id", "request_version", "decider_id"),
        one_of("answer", [answer.value for answer in Answer]),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    request_id: str = ref("request.id")
    request_version: int
    plan_hash: str = Field(max_length=71)
    decider_id: str = Field(max_length=64)  # psn_… or policy:<name>
    answer: str = Field(max_length=8)
    reason: str = Field(default="", max_length=500)
    because: dict[str, str] | None = json_column(nullable=True)  # a policy's words, by language
    conditions: list[str] | None = json_column(nullable=True)
    decided_at: datetime = moment()
