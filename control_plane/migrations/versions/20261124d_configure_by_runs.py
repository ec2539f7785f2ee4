"""Configure hostings by runs of playbooks."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import JsonColumn, UtcDateTime

revision = "20261124d"
down_revision = "20261124c"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosting", sa.Column("configured_wish", sa.String(64), nullable=True))
    op.add_column("hosting", sa.Column("configured_as", sa.String(64), nullable=True))
    op.create_table(
        "run",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("playbook", sa.String(80), nullable=False),
        sa.Column("wish_digest", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("counts", JsonColumn, nullable=True),
        sa.Column("result", JsonColumn, nullable=True),
        sa.Column("output", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'lost')",
            name=op.f("ck_run_status"),
        ),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_run_agency_id_agency")),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_run_hosting_id_hosting")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_hosting_id"), ["hosting_id"], unique=False)
    op.create_table(
        "run_event",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind in ('task', 'ok', 'changed', 'skipped', 'failed', 'unreachable', 'notice')",
            name=op.f("ck_run_event_kind"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_event_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_run_event")),
    )


def downgrade() -> None:
    op.drop_table("run_event")
    op.drop_table("run")
    op.drop_column("hosting", "configured_as")
    op.drop_column("hosting", "configured_wish")
