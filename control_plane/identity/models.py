"""People, what they may do where, and the tokens they act with."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from control_plane.identity.rules import Role, TokenKind
from control_plane.kit.columns import id_column, json_column, moment, one_of, ref


class Person(SQLModel, table=True):
    """Somebody who can log in; disabled, never deleted, so that decisions keep their author."""

    __tablename__ = "person"

    id: str = id_column()
    email: str | None = Field(max_length=254, unique=True)  # lower case; none from Keystone
    name: str = Field(max_length=120)
    locale: str = Field(default="ar", max_length=8)
    password_hash: str | None = Field(default=None, max_length=200)
    email_verified_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    disabled_at: datetime | None = moment(nullable=True)


class RoleGrant(SQLModel, table=True):
    """A role of a person in one agency, or (`agency_id` null) in the data centre."""

    __tablename__ = "role_grant"
    __table_args__ = (
        one_of("role", [role.value for role in Role]),
        Index(
            "uq_role_grant_agency",
            "person_id",
            "agency_id",
            "role",
            unique=True,
            sqlite_where=text("revoked_at is null and agency_id is not null"),
            postgresql_where=text("revoked_at is null and agency_id is not null"),
        ),
        Index(
            "uq_role_grant_centre",
            "person_id",
            "role",
            unique=True,
            sqlite_where=text("revoked_at is null and agency_id is null"),
            postgresql_where=text("revoked_at is null and agency_id is null"),
        ),
    )

    id: str = id_column()
    person_id: str = ref("person.id")
    agency_id: str | None = ref("agency.id", nullable=True)
    role: str = Field(max_length=16)
    granted_at: datetime = moment()
    granted_by: str = Field(max_length=64)
    revoked_at: datetime | None = moment(nullable=True)


class Token(SQLModel, table=True):
    """A secret that acts for a person, hashed at rest; shown once, scoped, and it expires."""

    __tablename__ = "token"
    __table_args__ = (one_of("kind", [kind.value for kind in TokenKind]),)

    id: str = id_column()
    person_id: str = ref("person.id")
    agency_id: str | None = ref("agency.id", nullable=True)  # set: only in this agency
    kind: str = Field(max_length=8)
    name: str = Field(max_length=120)
    secret_hash: str = Field(max_length=64, unique=True)  # SHA-256 of 256 random bits
    scopes: list[str] | None = json_column(nullable=True)  # null: all that the person may
    created_at: datetime = moment()
    expires_at: datetime = moment()
    last_used_at: datetime | None = moment(nullable=True)
    revoked_at: datetime | None = moment(nullable=True)


class KeystoneUser(SQLModel, table=True):
    """Which person a user of Keystone is here, known by an id that is never given out again."""

    __tablename__ = "keystone_user"

    user_id: str = Field(primary_key=True, max_length=64)
    domain_id: str = Field(max_length=64)
    person_id: str = ref("person.id")
    met_at: datetime = moment()


class KeystoneProject(SQLModel, table=True):
    """Whom a project of Keystone acts for: an agency, or (`agency_id` null) the data centre."""

    __tablename__ = "keystone_project"

    project_id: str = Field(primary_key=True, max_length=64)
    domain_id: str = Field(max_length=64)
    agency_id: str | None = ref("agency.id", nullable=True)
    roles: dict[str, str] = json_column()  # ours by the name of the role there
    mapped_at: datetime = moment()
    mapped_by: str = Field(max_length=64)
