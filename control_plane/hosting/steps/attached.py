"""What a run delivers of attachments: users to databases, ways and addresses to applications.

A database comes first: an application hears of its attachment when the database has its user.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.blueprints.rules import Attachable
from control_plane.engine.registry import Ctx
from control_plane.hosting import queries
from control_plane.hosting.actions import Delivered, credential_context
from control_plane.hosting.models import Attachment
from control_plane.hosting.rules import (
    HostingStatus,
    Login,
    attached_url,
    certificate_of,
)
from control_plane.hosting.steps.facts import Facts, cloud_of
from control_plane.hosting.steps.opening import password_of
from control_plane.kit.errors import Unavailable
from control_plane.ports.cloud.port import WireSpec
from control_plane.ports.keyring.port import Sealed
from control_plane.runs.queries import find_latest_success

PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class Target:
    """What an attachment leads to: whether it is in service, and what its last run declared."""

    is_up: bool
    offer: Attachable
    told: Mapping[str, Any]


@dataclass(slots=True)
class Delivery:
    """What goes into a run's secrets, and the addresses at which targets were found."""

    environment: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)


def new_credentials(ctx: Ctx, facts: Facts) -> dict[str, Sealed]:
    """Return passwords, sealed, for the users of this hosting that have none."""
    lacking = [row for row in facts.users if row.ciphertext is None]
    return {
        row.id: ctx.ports.keyring.seal(
            secrets.token_urlsafe(PASSWORD_BYTES).encode(), credential_context(row)
        )
        for row in lacking
    }


def prepare(ctx: Ctx, facts: Facts) -> Delivery:
    """Open the ways to what the hosting is attached to, and return what a run has to deliver.

    Raises Unavailable (`attachment_unreachable`) where a target was never reached and is down.
    """
    delivery = Delivery()
    for row in facts.users:
        delivery.users[row.user] = password_of(ctx, row)
    for row in facts.ways:
        target = ctx.load(partial(_load_target, target_id=row.target_id))
        address = _open_way(ctx, facts, row, target)
        login = Login(row.user, password_of(ctx, row), address, row.port)
        delivery.addresses[row.id] = address
        delivery.environment[row.variable] = attached_url(
            target.offer.url, row.variable, login, target.told
        )
        certificate = certificate_of(target.told)
        if certificate:
            delivery.certificates[row.variable.lower()] = certificate
    return delivery


def shut_ways(ctx: Ctx, facts: Facts) -> None:
    """Close the ways that are not wished for any more: the application has forgotten them."""
    for row in facts.attachments:
        if row.hosting_id == facts.hosting.id and row.detached_at is not None and row.has_way:
            cloud_of(ctx, facts).remove_wire(row.id, ctx.fence)


def delivered_by(facts: Facts) -> Delivered:
    """Return what a run with these facts has told the hosting of its attachments."""
    known = [row.id for row in (*facts.users, *facts.ways)]
    forgotten = [row.id for row in facts.attachments if row.detached_at is not None]
    return Delivered(facts.hosting.id, known, forgotten)


def list_broken_ways(ctx: Ctx, facts: Facts) -> list[str]:
    """Say which ways are not whole, of those that lead to what is in service."""
    broken = []
    for row in facts.ways:
        target = ctx.load(partial(_load_target, target_id=row.target_id))
        if row.client_knows and target.is_up and not _is_whole(ctx, facts, row):
            broken.append(f"way_closed:{row.variable}")
    return broken


def _open_way(ctx: Ctx, facts: Facts, row: Attachment, target: Target) -> str:
    try:
        if target.is_up:
            found = cloud_of(ctx, facts).ensure_wire(_wire(row), ctx.fence)
            return str(found.address)
    except Unavailable:
        if row.address is None:
            raise
    if row.address is None:
        raise Unavailable("attachment_unreachable", target=row.target_id)
    return row.address  # it stays the same; the next watch finds the way closed, and opens it


def _is_whole(ctx: Ctx, facts: Facts, row: Attachment) -> bool:
    return cloud_of(ctx, facts).observe_wire(_wire(row)).is_whole


def _wire(row: Attachment) -> WireSpec:
    return WireSpec(row.id, row.tenant_id, row.hosting_id, row.target_id, row.port)


def _load_target(session: Session, target_id: str) -> Target:
    hosting = queries.get_hosting(session, target_id)
    offer = blueprints.get_blueprint(session, hosting.blueprint_version_id).attachable
    if offer is None:
        raise LookupError(f"{target_id} offers nothing to attach to")
    run = find_latest_success(session, target_id)
    is_up = hosting.status == HostingStatus.ACTIVE and hosting.suspended_at is None
    return Target(is_up, offer, (run.result if run else None) or {})
