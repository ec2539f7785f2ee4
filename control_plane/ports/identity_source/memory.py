"""An identity source in memory: users, projects, roles and tokens, and a switch to be away."""

import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta

from control_plane.kit import clock
from control_plane.kit.errors import Unavailable
from control_plane.ports.identity_source.port import AWAY, Project, Verified

LASTS = timedelta(hours=1)  # Keystone's default


@dataclass
class MemoryIdentitySource:
    """Keeps what it is told; `is_away` True: it doesn't answer."""

    is_away: bool = False
    asked: int = 0
    tokens: dict[str, Verified] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)

    def recall(self, token: str) -> Verified | None:  # noqa: ARG002
        """Return None: it is always asked."""
        return None

    def verify(self, token: str) -> Verified | None:
        """Return what a token says."""
        self.asked += 1
        if self.is_away:
            raise Unavailable(AWAY)
        found = self.tokens.get(token)
        if found is None or found.user_id in self.disabled or found.expires_at <= clock.now():
            return None
        return found

    def issue(self, user_id: str, project: Project | None, *roles: str, name: str = "noor") -> str:
        """Give a user a token for a project; None: an unscoped one."""
        token = f"gAAAA{secrets.token_urlsafe(32)}"
        expires_at = clock.now() + LASTS
        said = Verified(user_id, name, "default", project, frozenset(roles), expires_at)
        self.tokens[token] = said
        return token

    def revoke(self, token: str) -> None:
        """Put a token out of force."""
        del self.tokens[token]

    def change_roles(self, token: str, *roles: str) -> None:
        """Let a token's user have other roles, without a new token."""
        self.tokens[token] = replace(self.tokens[token], roles=frozenset(roles))
