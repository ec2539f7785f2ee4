"""An application is attached to a database of its tenant, and detached again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.blueprints.rules import Attachable
from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.models import Attachment, Hosting
from control_plane.hosting.rules import (
    LIFE,
    AlreadyAttached,
    HostingStatus,
    NotAttachable,
)
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger
from control_plane.ports.keyring.port import Sealed
from control_plane.tenancy.queries import require_in_agency

USER_LENGTH = 12  # of the id's end, which is random


def attach(session: Session, actor: Actor, reference: str, target_reference: str) -> Attachment:
    """Wish for an application to reach a database of its own tenant; the lives of both see to it.

    Raises: NotFound, Forbidden, NotAttachable, AlreadyAttached.
    """
    client = queries.get_hosting_for(session, actor, reference, Permission.HOSTING_REQUEST)
    target = queries.get_hosting_for(session, actor, target_reference, Permission.HOSTING_REQUEST)
    for hosting in sorted((client, target), key=lambda one: one.name):  # one order for everybody
        hold(session, hosting)
    offered = check_attachable(session, client, target)
    if {client.status, target.status} != {HostingStatus.ACTIVE}:
        raise NotAttachable(client=client.name, target=target.name)
    present = queries.find_wished_attachment(session, client.id, offered.variable)
    if present is not None:
        raise AlreadyAttached(client=client.name, variable=offered.variable, attachment=present.id)
    identity = new_id("att")
    row = Attachment(
        id=identity,
        agency_id=client.agency_id,
        tenant_id=client.tenant_id,
        hosting_id=client.id,
        target_id=target.id,
        variable=offered.variable,
        port=offered.port,
        user=f"app_{identity[-USER_LENGTH:]}",
        created_at=clock.now(),
        created_by=actor.person_id,
    )
    session.add(row)
    for hosting in (client, target):
        hosting.generation += 1
        session.add(hosting)
    _log(session, actor.person_id, row, "wished")
    return row


def check_attachable(session: Session, client: Hosting, target: Hosting) -> Attachable:
    """Return what the target offers to the client once both run. Raises: NotAttachable."""
    blueprint = blueprints.get_blueprint(session, client.blueprint_version_id)
    offered = blueprints.get_blueprint(session, target.blueprint_version_id).attachable
    is_possible = (
        client.id != target.id and client.tenant_id == target.tenant_id and blueprint.takes_settings
    )
    if offered is None or not is_possible:
        raise NotAttachable(client=client.name, target=target.name)
    return offered


def hold(session: Session, hosting: Hosting) -> None:
    """Let nobody else change a hosting until the transaction ends, and wake its life."""
    lives.signal_life(session, LIFE.kind, hosting.id)  # locks the life first, as its steps do
    session.refresh(hosting, with_for_update=True)


def detach(session: Session, actor: Actor, attachment_id: str) -> Attachment:
    """Wish for an attachment's end: its user is closed, its port shut. Nothing is done twice.

    Raises: NotFound, Forbidden.
    """
    row = queries.find_attachment(session, attachment_id)
    if row is None:
        raise NotFound(kind="attachment", id=attachment_id)
    require_in_agency(actor, Permission.HOSTING_REQUEST, row.agency_id, "attachment", attachment_id)
    _signal(session, row)
    session.refresh(row, with_for_update=True)
    if row.detached_at is None:
        _end(session, actor.person_id, row)
    return row


def detach_all(session: Session, actor_id: str, hosting_id: str) -> None:
    """End the attachments of a hosting that ends, from it and to it."""
    for row in queries.list_unfinished_attachments(session, hosting_id):
        _signal(session, row)
        if row.detached_at is None:
            _end(session, actor_id, row)


def leave_attachments(session: Session, actor_id: str, hosting_id: str) -> None:
    """Write that a hosting whose server stands still for good knows no attachment any more."""
    for row in queries.list_unfinished_attachments(session, hosting_id):
        if row.hosting_id == hosting_id:
            row.client_knows = row.has_way = False
        else:
            row.target_knows = False
        _write_known(session, actor_id, row)


def set_credential(session: Session, sealed: Mapping[str, Sealed]) -> None:
    """Keep the passwords that the worker made, by attachment; one that is there is not replaced."""
    for attachment_id, secret in sealed.items():
        row = session.get_one(Attachment, attachment_id)
        if row.ciphertext is None:
            row.ciphertext, row.key_id = secret.ciphertext, secret.key_id
            row.version = secret.version
            session.add(row)


def note_ways(session: Session, attachment_ids: Collection[str]) -> None:
    """Write that the ways of these may be open from now on: whoever ends one has to shut it."""
    for attachment_id in attachment_ids:
        row = session.get_one(Attachment, attachment_id)
        row.has_way = True
        session.add(row)


def note_addresses(session: Session, addresses: Mapping[str, str]) -> None:
    """Keep at which address each attachment's target is found."""
    for attachment_id, address in addresses.items():
        row = session.get_one(Attachment, attachment_id)
        row.address = address
        session.add(row)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a run told a hosting of its attachments: those to know, and those to forget."""

    hosting_id: str
    known: Collection[str]
    forgotten: Collection[str]


def note_delivered(session: Session, actor_id: str, delivered: Delivered) -> None:
    """Write which attachments a hosting knows now; the other side's life goes on."""
    for attachment_id in (*delivered.known, *delivered.forgotten):
        row = session.get_one(Attachment, attachment_id)
        is_known = attachment_id in delivered.known
        before = row.status
        if row.hosting_id == delivered.hosting_id:
            row.client_knows = row.has_way = is_known
        else:
            row.target_knows = is_known
        session.add(row)
        if row.status != before:
            _write_known(session, actor_id, row)


def credential_context(row: Attachment) -> str:
    """Return what an attachment's password is bound to."""
    return f"{row.agency_id}/{row.target_id}/{row.id}"


def _write_known(session: Session, actor_id: str, row: Attachment) -> None:
    session.add(row)
    _log(session, actor_id, row, row.status.value)
    _signal(session, row)


def _end(session: Session, actor_id: str, row: Attachment) -> None:
    row.detached_at = clock.now()
    session.add(row)
    _log(session, actor_id, row, row.status.value)


def _signal(session: Session, row: Attachment) -> None:
    for hosting_id in sorted((row.hosting_id, row.target_id)):  # locks in one order
        lives.signal_life(session, LIFE.kind, hosting_id)


def _log(session: Session, actor_id: str, row: Attachment, what: str) -> None:
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action=f"attachment.{what}",
        subject_id=row.id,
        agency_id=row.agency_id,
        payload={
            "hosting": row.hosting_id,
            "target": row.target_id,
            "variable": row.variable,
            "port": row.port,
        },
    )
