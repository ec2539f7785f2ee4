"""What each PostgreSQL role may do: the owner migrates, the web asks, the worker carries out.

Roles are made by whoever installs the database (docs say how); where they are absent nothing is
granted, so that a test or an evaluation can run on one role.
"""

from sqlalchemy import Connection, text

WEB, WORKER = "edubba_web", "edubba_worker"

# Nobody who serves requests may rewrite what was recorded: these are append-only to the web.
APPEND_ONLY = ("ledger_entry", "decision", "plan", "timeline_event", "price", "blueprint_version")
# What only the worker writes: the sequenced tree and what the edge and regions were seen to be.
WORKER_ONLY = (
    "ledger_log",
    "ledger_checkpoint",
    "ledger_node",
    "region_image",
    "edge_state",
    "recipient_key",
    "run",
    "run_event",
    "log_store",
    "log_line",
)


def apply(connection: Connection) -> None:
    """Grant anew after a migration; idempotent. Does nothing where the roles are absent."""
    query = text("SELECT count(*) FROM pg_roles WHERE rolname IN (:web, :worker)")
    if connection.execute(query, {"web": WEB, "worker": WORKER}).scalar_one() != 2:  # noqa: PLR2004
        return
    tables = {row[0] for row in connection.execute(text(_OWN_TABLES))}
    run = connection.exec_driver_sql
    for role in (WEB, WORKER):
        run(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
        run(f"GRANT USAGE ON SCHEMA public TO {role}")
        run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    run(f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {WORKER}")
    for table in sorted(tables - {"alembic_version"}):
        if table in WORKER_ONLY:
            continue
        verbs = "INSERT" if table in APPEND_ONLY else "INSERT, UPDATE, DELETE"
        run(f'GRANT {verbs} ON "{table}" TO {WEB}')
    run(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {WORKER}")


_OWN_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
