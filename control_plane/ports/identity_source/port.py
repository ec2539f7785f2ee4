"""The identity source: a Keystone that knows people, their projects and their roles there.

It says whose a token is. What such a person may do here is for `identity` to say.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

AWAY = "identity_source_unavailable"


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and the domain that owns it; both ids are never given out again."""

    id: str
    domain_id: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a valid token says: who, in which project, with which roles, and for how long.

    `project` None: the token is unscoped, or for a domain or the whole system. Roles are names;
    Keystone keeps them unique, and puts no role of a single domain into a token.
    """

    user_id: str
    user_name: str
    user_domain_id: str
    project: Project | None
    roles: frozenset[str]
    expires_at: datetime


class IdentitySource(Protocol):
    """Answers within seconds, or raises `Unavailable`."""

    def recall(self, token: str) -> Verified | None:
        """Return what it knows of a token without asking anybody; None: it has to be asked."""

    def verify(self, token: str) -> Verified | None:
        """Return what a token says; None: it is none, expired, revoked, or its user disabled.

        Raises: Unavailable where the source doesn't answer, or not so that it can be believed.
        """
