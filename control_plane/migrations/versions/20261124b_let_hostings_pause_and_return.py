"""Let hostings pause and return."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import UtcDateTime
from control_plane.migrations.checks import replace_check

revision = "20261124b"
down_revision = "20261124"
branch_labels = None
depends_on = None

_STATUSES = (
    "requested",
    "cancelled",
    "building",
    "active",
    "quarantined",
    "failed",
    "ending",
    "ended",
    "purged",
)
_KINDS = ("create", "change", "end")


def _with_suspended() -> list[str]:
    after = list(_STATUSES)
    after.insert(after.index("quarantined"), "suspended")
    return after


def upgrade() -> None:
    op.add_column("hosting", sa.Column("suspended_at", UtcDateTime(), nullable=True))
    op.add_column("hosting", sa.Column("suspended_by", sa.String(64), nullable=True))
    op.add_column(
        "hosting",
        sa.Column(
            "is_suspended_by_centre", sa.Boolean(), nullable=False, server_default=sa.false()
        ),
    )
    op.add_column(
        "hosting", sa.Column("suspended_why", sa.String(500), nullable=False, server_default="")
    )
    replace_check("hosting", "status", _STATUSES, _with_suspended())
    replace_check("request", "kind", _KINDS, (*_KINDS, "restore"))


def downgrade() -> None:
    replace_check("request", "kind", (*_KINDS, "restore"), _KINDS)
    replace_check("hosting", "status", _with_suspended(), _STATUSES)
    for column in ("suspended_why", "is_suspended_by_centre", "suspended_by", "suspended_at"):
        op.drop_column("hosting", column)
