"""Content: blobs, releases named by the digest of their manifest, and deployments of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, UniqueConstraint
from sqlmodel import Field, SQLModel

from control_plane.kit.columns import id_column, json_column, moment, one_of, ref
from control_plane.releases.rules import DeploymentStatus


class Blob(SQLModel, table=True):
    """Stored content, by digest: where it lies and in how many places."""

    __tablename__ = "blob"

    digest: str = Field(primary_key=True, max_length=64)
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    store: str = Field(default="files", max_length=16)
    copies: int = 1
    stored_at: datetime = moment()


class AgencyBlob(SQLModel, table=True):
    """That an agency has itself sent this content: having a digest is no right to the bytes."""

    __tablename__ = "agency_blob"

    agency_id: str = ref("agency.id", primary_key=True)
    digest: str = Field(primary_key=True, max_length=64)
    leased_until: datetime = moment()  # garbage collection leaves it alone until then


class Release(SQLModel, table=True):
    """One immutable version of content; the manifest itself is a blob."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("agency_id", "manifest_digest"),)

    id: str = id_column()
    agency_id: str = ref("agency.id")
    manifest_digest: str = Field(max_length=64, index=True)
    file_count: int
    total_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = moment()
    created_by: str = Field(max_length=64)


class Deployment(SQLModel, table=True):
    """The wish to put a release live, and what came of it; a rollback is one too."""

    __tablename__ = "deployment"
    __table_args__ = (
        UniqueConstraint("hosting_id", "number"),
        one_of("status", [status.value for status in DeploymentStatus]),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    hosting_id: str = ref("hosting.id")
    number: int
    release_id: str | None = ref("release.id", nullable=True)  # null: the blueprint's placeholder
    rollback_of: int | None = None
    nonce: str = Field(max_length=64)
    status: str = Field(max_length=16)
    reason: str = Field(default="", max_length=500)
    actor_id: str = Field(max_length=64)
    created_at: datetime = moment()
    started_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)
    outcome: dict[str, Any] | None = json_column(nullable=True)  # code, output of the check
    progress: dict[str, Any] | None = json_column(nullable=True)  # blobs and bytes delivered
