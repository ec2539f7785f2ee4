"""Settings are changed: open values as they are, secrets sealed for the worker alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.models import Hosting, RecipientKey, Setting
from control_plane.hosting.rules import (
    LEAVING,
    LIFE,
    NotChangeable,
    SettingsNotTaken,
    check_settings,
)
from control_plane.identity.rules import Actor, Permission
from control_plane.kit import clock
from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.kit.sending import VERSION, Recipient, seal_to
from control_plane.ledger import actions as ledger


@dataclass(frozen=True, slots=True)
class SettingChanges:
    """Names with their new values; None removes."""

    settings: Mapping[str, str | None]
    secrets: Mapping[str, str]


def publish_recipient(session: Session, recipient: Recipient) -> None:
    """Let the web process seal to this key from now on. Idempotent; for the worker."""
    if session.get(RecipientKey, recipient.key_id) is None:
        session.add(
            RecipientKey(
                key_id=recipient.key_id,
                public_key=recipient.public_key,
                published_at=clock.now(),
            )
        )


def change_settings(
    session: Session, actor: Actor, reference: str, changes: SettingChanges
) -> Hosting:
    """Set and remove variables; the hosting's life delivers them. What is so already is no change.

    Raises: NotFound, Forbidden, NotChangeable, SettingsNotTaken, SettingRefused, SettingsTooLarge;
    Unavailable while the worker has published no key.
    """
    hosting = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_WRITE)
    lives.signal_life(session, LIFE.kind, hosting.id)  # locks the life first, as its steps do
    session.refresh(hosting, with_for_update=True)
    if hosting.status in LEAVING:
        raise NotChangeable(present=hosting.status)
    blueprint = blueprints.get_blueprint(session, hosting.blueprint_version_id)
    if not blueprint.takes_settings:
        raise SettingsNotTaken(blueprint=blueprint.name)
    present = {row.name: row for row in queries.list_settings(session, hosting.id)}
    sizes = {name: row.size for name, row in present.items()}
    check_settings(sizes, {**changes.settings, **changes.secrets})
    changed = [
        *_set_open(session, actor, hosting, present, changes.settings),
        *_set_secret(session, actor, hosting, present, changes.secrets),
    ]
    if changed:
        hosting.generation += 1
        session.add(hosting)
        _log(session, actor, hosting, sorted(changed))
    return hosting


def _set_open(
    session: Session,
    actor: Actor,
    hosting: Hosting,
    present: Mapping[str, Setting],
    wished: Mapping[str, str | None],
) -> list[str]:
    changed = []
    for name, value in wished.items():
        row = present.get(name)
        if value is None:
            if row is not None:
                session.delete(row)
                changed.append(name)
            continue
        if row is not None and row.value == value:
            continue
        row = row or _new(hosting, name)
        row.value, row.size = value, len(value.encode())
        row.ciphertext, row.key_id, row.version = None, None, None
        _stamp(session, actor, row)
        changed.append(name)
    return changed


def _set_secret(
    session: Session,
    actor: Actor,
    hosting: Hosting,
    present: Mapping[str, Setting],
    wished: Mapping[str, str],
) -> list[str]:
    if not wished:
        return []
    recipient = queries.find_recipient(session)
    if recipient is None:
        raise Unavailable("recipient_unknown")
    for name, value in wished.items():
        row = present.get(name) or _new(hosting, name)
        row.ciphertext = seal_to(recipient, value.encode(), secret_context(row))
        row.key_id, row.version = recipient.key_id, VERSION
        row.value, row.size = None, len(value.encode())
        _stamp(session, actor, row)
    return list(wished)


def secret_context(row: Setting) -> str:
    """Return what a secret is bound to: its owner, its row and its name."""
    return f"{row.agency_id}/{row.hosting_id}/{row.id}/{row.name}"


def _new(hosting: Hosting, name: str) -> Setting:
    return Setting(
        id=new_id("set"),
        agency_id=hosting.agency_id,
        hosting_id=hosting.id,
        name=name,
        size=0,
        changed_at=clock.now(),
        changed_by="",
    )


def _stamp(session: Session, actor: Actor, row: Setting) -> None:
    row.changed_at, row.changed_by = clock.now(), actor.person_id
    session.add(row)


def _log(session: Session, actor: Actor, hosting: Hosting, names: list[str]) -> None:
    session.flush()
    ledger.append(
        session,
        actor_id=actor.person_id,
        action="settings.changed",
        subject_id=hosting.id,
        agency_id=hosting.agency_id,
        payload={"names": names},  # never a value
    )
