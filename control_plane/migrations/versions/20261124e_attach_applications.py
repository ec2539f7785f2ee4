"""Attach applications to databases."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import UtcDateTime

revision = "20261124e"
down_revision = "20261124d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attachment",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("tenant_id", sa.String(length=32), nullable=False),
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("target_id", sa.String(length=32), nullable=False),
        sa.Column("variable", sa.String(64), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(40), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.String(24), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("address", sa.String(45), nullable=True),
        sa.Column("has_way", sa.Boolean(), nullable=False),
        sa.Column("target_knows", sa.Boolean(), nullable=False),
        sa.Column("client_knows", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("detached_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_attachment_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_attachment_tenant_id_tenant")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_attachment_hosting_id_hosting")
        ),
        sa.ForeignKeyConstraint(
            ["target_id"], ["hosting.id"], name=op.f("fk_attachment_target_id_hosting")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
    )
    with op.batch_alter_table("attachment", schema=None) as batch_op:
        for column in ("agency_id", "tenant_id", "hosting_id", "target_id"):
            batch_op.create_index(batch_op.f(f"ix_attachment_{column}"), [column], unique=False)


def downgrade() -> None:
    op.drop_table("attachment")
