"""What goes in and out of identity over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, EmailStr, Field

from control_plane.identity.models import Person, RoleGrant, Token
from control_plane.identity.rules import Permission, Role, TokenKind
from control_plane.kit.idempotency import shown_once
from control_plane.kit.passwords import MAX_PASSWORD_LENGTH

Locale = Literal["ar", "en"]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
Email = Annotated[EmailStr, Field(max_length=254)]


class In(BaseModel):
    """A document that somebody sends: what it may not contain is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class LoginIn(In):
    """Who wants to log in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"email": "owner@health.example", "password": "…"}]},
    )

    email: Email
    password: str = Field(min_length=1, max_length=MAX_PASSWORD_LENGTH)


class PersonOut(BaseModel):
    """A person, as others see them; who comes from Keystone has no address."""

    id: str
    email: str | None
    name: str
    locale: str

    @classmethod
    def of(cls, person: Person) -> "PersonOut":
        """Show a row."""
        return cls(id=person.id, email=person.email, name=person.name, locale=person.locale)


class LoginOut(BaseModel):
    """The token of a session, told once."""

    token: str
    expires_at: datetime
    person: PersonOut


class TokenIn(In):
    """A token wished for; without scopes it may all that its maker may."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "pipeline of the portal",
                    "expires_in_days": 90,
                    "scopes": ["hosting:read", "release:write"],
                }
            ]
        },
    )

    name: Name
    expires_in_days: int = Field(default=90, ge=1, le=365)
    scopes: list[Permission] | None = Field(default=None, min_length=1, max_length=32)
    agency_id: str | None = Field(default=None, max_length=32)


class TokenOut(BaseModel):
    """A token; its secret is told when it is made and never again."""

    id: str
    kind: TokenKind
    name: str
    agency_id: str | None
    scopes: list[Permission] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    secret: str | None = shown_once("Told once, in the answer that made it")

    @classmethod
    def of(cls, token: Token, secret: str | None = None) -> "TokenOut":
        """Show a row."""
        shown = token.model_dump(exclude={"person_id", "secret_hash"})
        return cls.model_validate({**shown, "secret": secret})


class RoleOut(BaseModel):
    """A role of a person, in an agency or (null) in the data centre."""

    person_id: str
    agency_id: str | None
    role: Role
    granted_at: datetime

    @classmethod
    def of(cls, grant: RoleGrant) -> "RoleOut":
        """Show a row."""
        return cls.model_validate(grant.model_dump(include=set(cls.model_fields)))
