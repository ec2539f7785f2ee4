"""Which playbook configures a hosting, with what, and how a wish is told from yesterday's. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.hosting.models import Attachment, Setting
from control_plane.kit.canonical import canonical_json
from control_plane.kit.errors import Refused
from control_plane.kit.installed import play_digest


@dataclass(frozen=True, slots=True)
class Play:
    """A playbook and its variables; `digest` is of these and of all else that it delivers."""

    name: str
    variables: Mapping[str, Any]
    digest: str


def new_play(
    blueprint: str, variables: Mapping[str, Any], image: str, marks: Iterable[str]
) -> Play:
    """Return the play of a blueprint's hosting on an image; marks stand for what it delivers.

    Raises Refused (`playbook_missing`).
    """
    name = f"hosting_{blueprint.replace('-', '_')}"
    playbook = play_digest(name)
    if playbook is None:
        raise Refused("playbook_missing", playbook=name)
    wish: list[Any] = [name, playbook, dict(variables), image, list(marks)]
    return Play(name, variables, hashlib.sha256(canonical_json(wish)).hexdigest())


def marks_of(users: Iterable[Attachment], ways: Iterable[Attachment]) -> list[str]:
    """Return what is another once attachments are, from others and to others."""
    return [f"user {row.id}" for row in users] + [f"way {row.id}" for row in ways]


def mark_of(setting: Setting) -> str:
    """Return what is another once a setting is set anew; no secret can be guessed from it."""
    return f"setting {setting.name} {setting.id} {setting.changed_at.isoformat()}"
