"""Make the first tables."""

import sqlalchemy as sa
from alembic import op

from control_plane.kit.db import UtcDateTime

revision = "20261124"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agency",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("slug", sa.String(40), nullable=False),
        sa.Column("name_ar", sa.String(200), nullable=False),
        sa.Column("name_en", sa.String(200), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("suspended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agency")),
        sa.UniqueConstraint("slug", name=op.f("uq_agency_slug")),
    )
    op.create_table(
        "blob",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("store", sa.String(16), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("stored_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blob")),
    )
    op.create_table(
        "blueprint_version",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("spec", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blueprint_version")),
        sa.UniqueConstraint("digest", name=op.f("uq_blueprint_version_digest")),
    )
    with op.batch_alter_table("blueprint_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_blueprint_version_name"), ["name"], unique=False)

    op.create_table(
        "edge_state",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("applied_generation", sa.Integer(), nullable=False),
        sa.Column("applied_at", UtcDateTime(), nullable=True),
        sa.Column("certificate_not_after", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_edge_state")),
    )
    op.create_table(
        "engine_pause",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_engine_pause")),
    )
    op.create_table(
        "idempotent_answer",
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_idempotent_answer")),
    )
    with op.batch_alter_table("idempotent_answer", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_idempotent_answer_created_at"), ["created_at"], unique=False
        )

    op.create_table(
        "ledger_checkpoint",
        sa.Column("tree_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tree_size", name=op.f("pk_ledger_checkpoint")),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject_id", sa.String(64), nullable=False),
        sa.Column("agency_id", sa.String(32), nullable=True),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(payload is null) = (salt is null)", name=op.f("ck_ledger_entry_redacted_whole")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("leaf_index", name=op.f("uq_ledger_entry_leaf_index")),
    )
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_entry_action", ["action", "leaf_index"], unique=False)
        batch_op.create_index("ix_ledger_entry_actor", ["actor_id", "leaf_index"], unique=False)
        batch_op.create_index("ix_ledger_entry_agency", ["agency_id", "leaf_index"], unique=False)
        batch_op.create_index(
            "ix_ledger_entry_pending",
            ["created_at", "id"],
            unique=False,
            sqlite_where=sa.text("leaf_index is null"),
            postgresql_where=sa.text("leaf_index is null"),
        )
        batch_op.create_index("ix_ledger_entry_subject", ["subject_id", "leaf_index"], unique=False)

    op.create_table(
        "ledger_log",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("vkey", sa.String(300), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_log")),
    )
    op.create_table(
        "ledger_node",
        sa.Column("last_leaf", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("last_leaf", "level", name=op.f("pk_ledger_node")),
    )
    op.create_table(
        "life",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("flow_version", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(32), nullable=True),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("entered_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("deadline_at", UtcDateTime(), nullable=False),
        sa.Column("alerted_at", UtcDateTime(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("lease_holder", sa.String(64), nullable=True),
        sa.Column("lease_counter", sa.Integer(), nullable=False),
        sa.Column("signals", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(64), nullable=True),
        sa.Column("ending_at", UtcDateTime(), nullable=True),
        sa.Column("is_winding_down", sa.Boolean(), nullable=False),
        sa.Column("failure_code", sa.String(64), nullable=True),
        sa.Column("failure_facts", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint("state in ('live', 'stopped', 'done')", name=op.f("ck_life_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_life")),
        sa.UniqueConstraint("kind", "subject_id", name=op.f("uq_life_kind_subject_id")),
    )
    with op.batch_alter_table("life", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_life_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index("ix_life_due", ["state", "due_at"], unique=False)

    op.create_table(
        "person",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("locale", sa.String(8), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=True),
        sa.Column("email_verified_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("email", name=op.f("uq_person_email")),
    )
    op.create_table(
        "price",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("blueprint", sa.String(40), nullable=False),
        sa.Column("size", sa.String(40), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("micros_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price")),
        sa.UniqueConstraint(
            "blueprint",
            "size",
            "currency",
            "effective_from",
            name=op.f("uq_price_blueprint_size_currency_effective_from"),
        ),
    )
    op.create_table(
        "region",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("is_served", sa.Boolean(), nullable=False),
        sa.Column("memory_mib", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("observed_at", UtcDateTime(), nullable=True),
        sa.Column("orphans", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint("kind in ('memory', 'local', 'openstack')", name=op.f("ck_region_kind")),
        sa.CheckConstraint("state in ('open', 'closed', 'retired')", name=op.f("ck_region_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_region")),
        sa.UniqueConstraint("name", name=op.f("uq_region_name")),
    )
    op.create_table(
        "agency_blob",
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_agency_blob_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("agency_id", "digest", name=op.f("pk_agency_blob")),
    )
    op.create_table(
        "allocation",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("region_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("uid_base", sa.BigInteger(), nullable=False),
        sa.Column("v4", sa.String(15), nullable=False),
        sa.Column("v6", sa.String(39), nullable=True),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("allocated_at", UtcDateTime(), nullable=False),
        sa.Column("free_after", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_allocation_region_id_region")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocation")),
        sa.UniqueConstraint("region_id", "serial", name=op.f("uq_allocation_region_id_serial")),
        sa.UniqueConstraint("subject_id", name=op.f("uq_allocation_subject_id")),
    )
    with op.batch_alter_table("allocation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_allocation_region_id"), ["region_id"], unique=False)

    op.create_table(
        "budget",
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("micros_per_hour", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_budget_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("agency_id", name=op.f("pk_budget")),
    )
    op.create_table(
        "quota",
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("resource", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "resource in ('servers', 'cpu_millis', 'memory_mib', 'disk_mib')",
            name=op.f("ck_quota_resource"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_quota_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("agency_id", "resource", name=op.f("pk_quota")),
    )
    op.create_table(
        "agency_region",
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("region_id", sa.String(length=32), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_agency_region_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_agency_region_region_id_region")
        ),
        sa.PrimaryKeyConstraint("agency_id", "region_id", name=op.f("pk_agency_region")),
    )
    op.create_table(
        "region_image",
        sa.Column("region_id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("family", sa.String(40), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_region_image_region_id_region")
        ),
        sa.PrimaryKeyConstraint("region_id", "digest", name=op.f("pk_region_image")),
    )
    op.create_table(
        "release",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("manifest_digest", sa.String(64), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_release_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release")),
        sa.UniqueConstraint(
            "agency_id", "manifest_digest", name=op.f("uq_release_agency_id_manifest_digest")
        ),
    )
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_release_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_release_manifest_digest"), ["manifest_digest"], unique=False
        )

    op.create_table(
        "reservation",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("resource", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "resource in ('servers', 'cpu_millis', 'memory_mib', 'disk_mib', 'cost')",
            name=op.f("ck_reservation_resource"),
        ),
        sa.CheckConstraint(
            "state in ('held', 'committed', 'released')", name=op.f("ck_reservation_state")
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_reservation_agency_id_agency")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        sa.UniqueConstraint(
            "subject_id", "resource", name=op.f("uq_reservation_subject_id_resource")
        ),
    )
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservation_agency_id"), ["agency_id"], unique=False)

    op.create_table(
        "role_grant",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("granted_at", UtcDateTime(), nullable=False),
        sa.Column("granted_by", sa.String(64), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "role in ('owner', 'developer', 'viewer', 'operator', 'auditor')",
            name=op.f("ck_role_grant_role"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_role_grant_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_role_grant_person_id_person")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
    )
    with op.batch_alter_table("role_grant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_role_grant_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_role_grant_person_id"), ["person_id"], unique=False)
        batch_op.create_index(
            "uq_role_grant_agency",
            ["person_id", "agency_id", "role"],
            unique=True,
            sqlite_where=sa.text("revoked_at is null and agency_id is not null"),
            postgresql_where=sa.text("revoked_at is null and agency_id is not null"),
        )
        batch_op.create_index(
            "uq_role_grant_centre",
            ["person_id", "role"],
            unique=True,
            sqlite_where=sa.text("revoked_at is null and agency_id is null"),
            postgresql_where=sa.text("revoked_at is null and agency_id is null"),
        )

    op.create_table(
        "tenant",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("region_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status in ('building', 'active', 'ending', 'ended')", name=op.f("ck_tenant_status")
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_tenant_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_tenant_region_id_region")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant")),
    )
    with op.batch_alter_table("tenant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tenant_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tenant_region_id"), ["region_id"], unique=False)
        batch_op.create_index(
            "uq_tenant_present",
            ["region_id", "agency_id", "name"],
            unique=True,
            sqlite_where=sa.text("status <> 'ended'"),
            postgresql_where=sa.text("status <> 'ended'"),
        )

    op.create_table(
        "timeline_event",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("life_id", sa.String(32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["life_id"], ["life.id"], name=op.f("fk_timeline_event_life_id_life")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline_event")),
    )
    with op.batch_alter_table("timeline_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_timeline_event_life_id"), ["life_id"], unique=False)

    op.create_table(
        "token",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("kind in ('session', 'api')", name=op.f("ck_token_kind")),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_token_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_token_person_id_person")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_token_secret_hash")),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_token_person_id"), ["person_id"], unique=False)

    op.create_table(
        "hosting",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("region_id", sa.String(length=32), nullable=False),
        sa.Column("tenant_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("blueprint_version_id", sa.String(length=32), nullable=False),
        sa.Column("size", sa.String(40), nullable=False),
        sa.Column("inputs", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("image_digest", sa.String(80), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("observed_generation", sa.Integer(), nullable=False),
        sa.Column("wished_deployment_id", sa.String(32), nullable=True),
        sa.Column("live_deployment_id", sa.String(32), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("active_at", UtcDateTime(), nullable=True),
        sa.Column("observed_at", UtcDateTime(), nullable=True),
        sa.Column("probed_at", UtcDateTime(), nullable=True),
        sa.Column("probe_failed_at", UtcDateTime(), nullable=True),
        sa.Column("drift", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("purge_after", UtcDateTime(), nullable=True),
        sa.Column("legal_hold", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "status in ('requested', 'cancelled', 'building', 'active', 'quarantined', 'failed', 'ending', 'ended', 'purged')",
            name=op.f("ck_hosting_status"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_hosting_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["blueprint_version_id"],
            ["blueprint_version.id"],
            name=op.f("fk_hosting_blueprint_version_id_blueprint_version"),
        ),
        sa.ForeignKeyConstraint(
            ["region_id"], ["region.id"], name=op.f("fk_hosting_region_id_region")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_hosting_tenant_id_tenant")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hosting")),
    )
    with op.batch_alter_table("hosting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_hosting_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_hosting_blueprint_version_id"), ["blueprint_version_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_hosting_region_id"), ["region_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_hosting_tenant_id"), ["tenant_id"], unique=False)
        batch_op.create_index(
            "uq_hosting_name_present",
            ["agency_id", "name"],
            unique=True,
            sqlite_where=sa.text("status not in ('cancelled', 'ended', 'purged')"),
            postgresql_where=sa.text("status not in ('cancelled', 'ended', 'purged')"),
        )

    op.create_table(
        "deployment",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=True),
        sa.Column("rollback_of", sa.Integer(), nullable=True),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "status in ('queued', 'running', 'live', 'superseded', 'failed', 'cancelled')",
            name=op.f("ck_deployment_status"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_deployment_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_deployment_hosting_id_hosting")
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["release.id"], name=op.f("fk_deployment_release_id_release")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
        sa.UniqueConstraint("hosting_id", "number", name=op.f("uq_deployment_hosting_id_number")),
    )
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployment_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployment_hosting_id"), ["hosting_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployment_release_id"), ["release_id"], unique=False)

    op.create_table(
        "hostname",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("look", sa.String(253), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("proven_at", UtcDateTime(), nullable=True),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status in ('claimed', 'serving', 'released')", name=op.f("ck_hostname_status")
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_hostname_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_hostname_hosting_id_hosting")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hostname")),
    )
    with op.batch_alter_table("hostname", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_hostname_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_hostname_hosting_id"), ["hosting_id"], unique=False)
        batch_op.create_index(
            "uq_hostname_claimed",
            ["name"],
            unique=True,
            sqlite_where=sa.text("status <> 'released'"),
            postgresql_where=sa.text("status <> 'released'"),
        )
        batch_op.create_index(
            "uq_hostname_look",
            ["look"],
            unique=True,
            sqlite_where=sa.text("status <> 'released'"),
            postgresql_where=sa.text("status <> 'released'"),
        )

    op.create_table(
        "request",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("hosting_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("wish", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("submitted_by", sa.String(64), nullable=False),
        sa.Column("submitted_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("kind in ('create', 'change', 'end')", name=op.f("ck_request_kind")),
        sa.CheckConstraint(
            "status in ('submitted', 'approved', 'rejected', 'withdrawn', 'fulfilled', 'abandoned')",
            name=op.f("ck_request_status"),
        ),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_request_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["hosting_id"], ["hosting.id"], name=op.f("fk_request_hosting_id_hosting")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
    )
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_request_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_request_hosting_id"), ["hosting_id"], unique=False)

    op.create_table(
        "decision",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("agency_id", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=32), nullable=False),
        sa.Column("request_version", sa.Integer(), nullable=False),
        sa.Column("plan_hash", sa.String(71), nullable=False),
        sa.Column("decider_id", sa.String(64), nullable=False),
        sa.Column("answer", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("because", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("conditions", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("answer in ('approve', 'reject')", name=op.f("ck_decision_answer")),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agency.id"], name=op.f("fk_decision_agency_id_agency")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["request.id"], name=op.f("fk_decision_request_id_request")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint(
            "request_id",
            "request_version",
            "decider_id",
            name=op.f("uq_decision_request_id_request_version_decider_id"),
        ),
    )
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decision_agency_id"), ["agency_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_decision_request_id"), ["request_id"], unique=False)

    op.create_table(
        "plan",
        sa.Column("request_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("micros_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["request.id"], name=op.f("fk_plan_request_id_request")
        ),
        sa.PrimaryKeyConstraint("request_id", "version", name=op.f("pk_plan")),
    )


def downgrade() -> None:
    op.drop_table("plan")
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_decision_request_id"))
        batch_op.drop_index(batch_op.f("ix_decision_agency_id"))

    op.drop_table("decision")
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_request_hosting_id"))
        batch_op.drop_index(batch_op.f("ix_request_agency_id"))

    op.drop_table("request")
    with op.batch_alter_table("hostname", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_hostname_look",
            sqlite_where=sa.text("status <> 'released'"),
            postgresql_where=sa.text("status <> 'released'"),
        )
        batch_op.drop_index(
            "uq_hostname_claimed",
            sqlite_where=sa.text("status <> 'released'"),
            postgresql_where=sa.text("status <> 'released'"),
        )
        batch_op.drop_index(batch_op.f("ix_hostname_hosting_id"))
        batch_op.drop_index(batch_op.f("ix_hostname_agency_id"))

    op.drop_table("hostname")
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployment_release_id"))
        batch_op.drop_index(batch_op.f("ix_deployment_hosting_id"))
        batch_op.drop_index(batch_op.f("ix_deployment_agency_id"))

    op.drop_table("deployment")
    with op.batch_alter_table("hosting", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_hosting_name_present",
            sqlite_where=sa.text("status not in ('cancelled', 'ended', 'purged')"),
            postgresql_where=sa.text("status not in ('cancelled', 'ended', 'purged')"),
        )
        batch_op.drop_index(batch_op.f("ix_hosting_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_hosting_region_id"))
        batch_op.drop_index(batch_op.f("ix_hosting_blueprint_version_id"))
        batch_op.drop_index(batch_op.f("ix_hosting_agency_id"))

    op.drop_table("hosting")
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_person_id"))
        batch_op.drop_index(batch_op.f("ix_token_agency_id"))

    op.drop_table("token")
    with op.batch_alter_table("timeline_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_timeline_event_life_id"))

    op.drop_table("timeline_event")
    with op.batch_alter_table("tenant", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_tenant_present",
            sqlite_where=sa.text("status <> 'ended'"),
            postgresql_where=sa.text("status <> 'ended'"),
        )
        batch_op.drop_index(batch_op.f("ix_tenant_region_id"))
        batch_op.drop_index(batch_op.f("ix_tenant_agency_id"))

    op.drop_table("tenant")
    with op.batch_alter_table("role_grant", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_role_grant_centre",
            sqlite_where=sa.text("revoked_at is null and agency_id is null"),
            postgresql_where=sa.text("revoked_at is null and agency_id is null"),
        )
        batch_op.drop_index(
            "uq_role_grant_agency",
            sqlite_where=sa.text("revoked_at is null and agency_id is not null"),
            postgresql_where=sa.text("revoked_at is null and agency_id is not null"),
        )
        batch_op.drop_index(batch_op.f("ix_role_grant_person_id"))
        batch_op.drop_index(batch_op.f("ix_role_grant_agency_id"))

    op.drop_table("role_grant")
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reservation_agency_id"))

    op.drop_table("reservation")
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_release_manifest_digest"))
        batch_op.drop_index(batch_op.f("ix_release_agency_id"))

    op.drop_table("release")
    op.drop_table("region_image")
    op.drop_table("agency_region")
    op.drop_table("quota")
    op.drop_table("budget")
    with op.batch_alter_table("allocation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_allocation_region_id"))

    op.drop_table("allocation")
    op.drop_table("agency_blob")
    op.drop_table("region")
    op.drop_table("price")
    op.drop_table("person")
    with op.batch_alter_table("life", schema=None) as batch_op:
        batch_op.drop_index("ix_life_due")
        batch_op.drop_index(batch_op.f("ix_life_agency_id"))

    op.drop_table("life")
    op.drop_table("ledger_node")
    op.drop_table("ledger_log")
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.drop_index("ix_ledger_entry_subject")
        batch_op.drop_index(
            "ix_ledger_entry_pending",
            sqlite_where=sa.text("leaf_index is null"),
            postgresql_where=sa.text("leaf_index is null"),
        )
        batch_op.drop_index("ix_ledger_entry_agency")
        batch_op.drop_index("ix_ledger_entry_actor")
        batch_op.drop_index("ix_ledger_entry_action")

    op.drop_table("ledger_entry")
    op.drop_table("ledger_checkpoint")
    with op.batch_alter_table("idempotent_answer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotent_answer_created_at"))

    op.drop_table("idempotent_answer")
    op.drop_table("engine_pause")
    op.drop_table("edge_state")
    with op.batch_alter_table("blueprint_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_blueprint_version_name"))

    op.drop_table("blueprint_version")
    op.drop_table("blob")
    op.drop_table("agency")
