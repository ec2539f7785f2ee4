"""Give hostings settings."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import UtcDateTime

revision = "20261124c"
down_revision = "20261124b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recipient_key",
        sa.Column("key_id", sa.String(24), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_recipient_key")),
    )
    op.create_table(
        "setting",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.String(24), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_setting_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_setting_hosting_id_hosting")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting")),
        sa.UniqueConstraint("hosting_id", "name", name=op.f("uq_setting_hosting_id_name")),
    )
    with op.batch_alter_table("setting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_setting_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_setting_hosting_id"), ["hosting_id"], unique=False)


def downgrade() -> None:
    op.drop_table("setting")
    op.drop_table("recipient_key")
