"""The terms on which this installation takes requests."""

from dataclasses import dataclass
from functools import cache

from control_plane.hosting.rules import Policy, parse_policy
from control_plane.kit.installed import tenants_dir


@dataclass(frozen=True, slots=True)
class Terms:
    """The zone of hostnames, how long data is kept after the end, and who must decide."""

    zone: str
    retention_days: int
    policy: Policy


@cache
def installed_policy() -> Policy:
    """Return the policy that is installed, read once. Raises: DocumentInvalid."""
    path = tenants_dir() / "policies" / "default.yml"
    return parse_policy(path.read_text(encoding="utf-8"), f"policies/{path.name}")
