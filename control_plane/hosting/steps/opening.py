"""Secrets of a hosting are opened for what has to know them: a run, and what hides them."""

from control_plane.engine.registry import Ctx
from control_plane.hosting.actions import credential_context, secret_context
from control_plane.hosting.models import Attachment, Setting
from control_plane.hosting.steps.facts import Facts
from control_plane.ports.keyring.port import Sealed


def value_of(ctx: Ctx, row: Setting) -> str:
    """Return a setting's value, opened if it is a secret."""
    if row.ciphertext is None:
        return row.value or ""
    sealed = Sealed(row.key_id or "", row.version or 0, row.ciphertext)
    return ctx.ports.keyring.open_sent(sealed, secret_context(row)).decode()


def password_of(ctx: Ctx, row: Attachment) -> str:
    """Return the password of an attachment's user."""
    sealed = Sealed(row.key_id or "", row.version or 0, row.ciphertext or b"")
    return ctx.ports.keyring.open(sealed, credential_context(row)).decode()


def list_secrets(ctx: Ctx, facts: Facts) -> list[str]:
    """Return all that the hosting's server was told and nobody else may read."""
    settings = [value_of(ctx, row) for row in facts.settings if row.ciphertext is not None]
    known = [row for row in (*facts.users, *facts.ways) if row.ciphertext is not None]
    return settings + [password_of(ctx, row) for row in known]
