"""What is attached to what: its state is what the lives of the two sides know of it. Pure.

The target's server has a user for the application before the application hears of it; an end is
known to both before it is over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar
from urllib.parse import quote

from control_plane.kit.errors import Problem

DATABASE = re.compile(r"[a-z][a-z0-9_]{0,62}")
CERTIFICATES = "/etc/hosting/certificates"  # where a play puts whom an application may trust
CERTIFICATE_MAX = 8 * 1024


class AttachmentStatus(StrEnum):
    """Where an attachment is."""

    WISHED = "wished"  # the target has no user for it yet
    READY = "ready"  # it has; the application doesn't know yet
    LIVE = "live"
    DETACHING = "detaching"  # one of the two still knows it
    DETACHED = "detached"  # nothing of it is left


def attachment_status(
    *, is_wished: bool, target_knows: bool, client_knows: bool
) -> AttachmentStatus:
    """Return the state that follows from what the two sides know."""
    if not is_wished:
        is_over = not (target_knows or client_knows)
        return AttachmentStatus.DETACHED if is_over else AttachmentStatus.DETACHING
    if not target_knows:
        return AttachmentStatus.WISHED
    return AttachmentStatus.LIVE if client_knows else AttachmentStatus.READY


@dataclass(frozen=True, slots=True)
class Login:
    """With what an application reaches what it is attached to."""

    user: str
    password: str
    address: str
    port: int


def attached_url(template: str, variable: str, login: Login, told: Mapping[str, Any]) -> str:
    """Fill a blueprint's address for applications; `told` is what the target's play declared.

    That came out of a tenant: a name that is none of a database is not believed.
    """
    database = str(told.get("database", ""))
    return template.format(
        user=quote(login.user, safe=""),
        password=quote(login.password, safe=""),
        address=login.address,
        port=login.port,
        database=database if DATABASE.fullmatch(database) else "app",
        certificate=certificate_path(variable),
    )


def certificate_path(variable: str) -> str:
    """Return where an application finds the certificate that belongs to a variable."""
    return f"{CERTIFICATES}/{variable.lower()}.pem"


def certificate_of(told: Mapping[str, Any]) -> str:
    """Return the certificate that a target's play declared; empty where it is none."""
    text = str(told.get("certificate", ""))
    is_one = text.startswith("-----BEGIN CERTIFICATE-----") and len(text) <= CERTIFICATE_MAX
    return text if is_one else ""


class NotAttachable(Problem):
    """The two can't be attached."""

    code: ClassVar[str] = "not_attachable"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "{client} can't be attached to {target}"
    mend: ClassVar[str] = (
        "Attach an application to a database of the same tenant; both must be in service."
    )


class AlreadyAttached(Problem):
    """The variable is taken."""

    code: ClassVar[str] = "already_attached"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "{client} has {variable} from an attachment already"
    mend: ClassVar[str] = "Detach that one first; it is {attachment}."


class VariableTaken(Problem):
    """Two attachments that are declared would give an application the same variable."""

    code: ClassVar[str] = "variable_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "{client} would have {variable} from {first} and from {target}"
    mend: ClassVar[str] = "An application has one database at a time: declare one of them."
