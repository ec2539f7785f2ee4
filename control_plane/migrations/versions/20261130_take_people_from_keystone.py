"""Take people from Keystone."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import JsonColumn, UtcDateTime
from control_plane.migrations.checks import let_be_null

revision = "20261130"
down_revision = "20261124f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    let_be_null("person", "email", sa.String(254))
    op.create_table(
        "keystone_user",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("met_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_keystone_user_person_id_person")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_keystone_user")),
    )
    op.create_index(op.f("ix_keystone_user_person_id"), "keystone_user", ["person_id"])
    op.create_table(
        "keystone_project",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("agency_id", sa.String(32), nullable=True),
        sa.Column("roles", JsonColumn, nullable=False),
        sa.Column("mapped_at", UtcDateTime(), nullable=False),
        sa.Column("mapped_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_keystone_project_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_keystone_project")),
    )
    op.create_index(op.f("ix_keystone_project_agency_id"), "keystone_project", ["agency_id"])


def downgrade() -> None:
    op.drop_table("keystone_project")
    op.drop_table("keystone_user")
