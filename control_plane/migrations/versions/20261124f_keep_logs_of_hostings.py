"""Keep the newest of what hostings write."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import JsonColumn, UtcDateTime

revision = "20261124f"
down_revision = "20261124e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosting", sa.Column("logs_asked_at", UtcDateTime(), nullable=True))
    op.create_table(
        "log_store",
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("marks", JsonColumn, nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("collected_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_log_store_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_log_store_hosting_id_hosting")
        ),
        sa.PrimaryKeyConstraint("hosting_id", name=op.f("pk_log_store")),
    )
    with op.batch_alter_table("log_store", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_log_store_agency_id"), ["agency_id"], unique=False)
    op.create_table(
        "log_line",
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_log_line_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_log_line_hosting_id_hosting")
        ),
        sa.PrimaryKeyConstraint("hosting_id", "number", name=op.f("pk_log_line")),
    )
    op.create_index("ix_log_line_hosting_id_at", "log_line", ["hosting_id", "at"], unique=False)


def downgrade() -> None:
    op.drop_table("log_line")
    op.drop_table("log_store")
    op.drop_column("hosting", "logs_asked_at")
