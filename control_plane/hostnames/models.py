"""Names served by the edge: whose they are, what they serve, with which certificate."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from control_plane.hostnames.rules import HostnameStatus
from control_plane.kit.columns import id_column, moment, one_of, ref


class Hostname(SQLModel, table=True):
    """One name (lower case, IDNA) claimed for one hosting; free again once released."""

    __tablename__ = "hostname"
    __table_args__ = (
        one_of("status", [status.value for status in HostnameStatus]),
        Index(
            "uq_hostname_claimed",
            "name",
            unique=True,
            sqlite_where=text("status <> 'released'"),
            postgresql_where=text("status <> 'released'"),
        ),
        Index(
            "uq_hostname_look",
            "look",
            unique=True,
            sqlite_where=text("status <> 'released'"),
            postgresql_where=text("status <> 'released'"),
        ),
    )

    id: str = id_column()
    agency_id: str = ref("agency.id")
    hosting_id: str = ref("hosting.id")
    name: str = Field(max_length=253)
    look: str = Field(max_length=253)  # equal for names that people mistake for each other
    status: str = Field(max_length=16)
    created_at: datetime = moment()
    proven_at: datetime | None = moment(nullable=True)  # names below our zone are proven at once
    released_at: datetime | None = moment(nullable=True)


class EdgeState(SQLModel, table=True):
    """How far one edge has applied the rows, so that there can be two."""

    __tablename__ = "edge_state"

    name: str = Field(primary_key=True, max_length=40)
    applied_generation: int = 0
    applied_at: datetime | None = moment(nullable=True)
    certificate_not_after: datetime | None = moment(nullable=True)
