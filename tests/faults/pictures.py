"""What a run left in the database, in a form in which two runs can be compared.

Two runs differ in moments, in the ids of rows that lives write, and in how often a life was
claimed. Everything else must be the same: no row more, no row less, none in another state.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlmodel import Session, col
from sqlmodel import select as select_models

from control_plane.engine.models import Life, LifeState
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import HostingStatus
from control_plane.kit.db import METADATA
from control_plane.ledger import queries as ledger
from control_plane.ledger.exports import export_lines
from control_plane.ledger.verifier import verify
from control_plane.ports.cloud.port import Cloud
from control_plane.tenancy.models import Region, Tenant
from control_plane.tenancy.rules import TenantStatus

# The tree itself depends on the order of entries; `faults_of` has it verified instead.
LEFT_OUT = {"ledger_node": None, "ledger_checkpoint": None} | {
    "life": {"lease_counter", "signals", "attempts"},
    "timeline_event": {"attempt"},
    "ledger_entry": {"leaf_index", "leaf_hash", "commitment", "salt"},
    "hosting": {"configured_as"},  # a digest of passwords, too
    "run": {"pid"},
}
WAITS = re.compile(r"waiting_for_\w+|nonce_not_seen")  # who comes first is nobody's promise
# Of an attachment's two sides either may come first.
SIDES = re.compile(r'("action": "attachment\.\w+", "actor_id": "life:)[^"]+')
NEW_IDS = re.compile(r"\b(evt|alc|ent|lif|run)_[0-9a-z]{26}")
_LINES: dict[str, str] = {}
MOMENTS = re.compile(r"\b\d{4}-\d\d-\d\dT[0-9:.+]+")


def rows_of(session: Session) -> list[str]:
    """Return all rows, one a line, sorted."""
    lives = session.exec(select_models(Life)).all()
    names = {life.id: f"life of {life.kind} {life.subject_id}" for life in lives}
    # How often one of the platform's own lives came round is a matter of time, not of what befell.
    rounds = {names[life.id] for life in lives if life.agency_id is None}
    lines = []
    for table in METADATA.sorted_tables:
        left_out = LEFT_OUT.get(table.name, set())
        if left_out is None:
            continue
        seen = set()
        for row in session.connection().execute(select(table)):
            line = _line(table.name, row, left_out, names)
            if table.name == "timeline_event":
                if WAITS.fullmatch(row.event) or line in seen:
                    continue
                if names[row.life_id] in rounds:
                    seen.add(line)
            lines.append(line)
    return sorted(lines)


def _line(table: str, row: Row[Any], left_out: set[str], names: Mapping[str, str]) -> str:
    # Most rows are in most pictures, and a row that names a life always names the same one.
    key = f"{table} {tuple(row)!r}"
    line = _LINES.get(key)
    if line is None:
        line = _LINES[key] = f"{table} {_text(row._mapping, left_out, names)}"
    return line


def _text(row: Mapping[Any, Any], left_out: set[str], names: Mapping[str, str]) -> str:
    plain = {str(name): value for name, value in row.items() if name not in left_out}
    text = json.dumps(plain, default=_told, sort_keys=True, ensure_ascii=False)
    for life_id, name in names.items():
        text = text.replace(life_id, name)
    text = SIDES.sub(r"\1a side's", text)
    return MOMENTS.sub("a moment", NEW_IDS.sub(r"\1", text))


def _told(value: object) -> str:
    return "a moment" if isinstance(value, datetime) else type(value).__name__


def faults_of(session: Session, cloud: Cloud) -> list[str]:
    """Return what must not be so in any world at rest, however it came there."""
    faults = [
        f"{life.kind} {life.subject_id} stopped at {life.step}: {life.failure_code}"
        for life in session.exec(select_models(Life).where(col(Life.state) == LifeState.STOPPED))
    ]
    held = select_models(Life).where(col(Life.lease_until).is_not(None))
    faults += [f"{life.kind} {life.subject_id} is leased" for life in session.exec(held)]
    faults += [f"in the region without a row: {one}" for one in _list_orphans(session, cloud)]
    return faults + _ledger_faults(session)


def _list_orphans(session: Session, cloud: Cloud) -> Iterator[object]:
    gone = [HostingStatus.PURGED, HostingStatus.CANCELLED]
    hostings = session.exec(select_models(Hosting.id).where(col(Hosting.status).not_in(gone)))
    tenants = session.exec(select_models(Tenant.id).where(col(Tenant.status) != TenantStatus.ENDED))
    claimed = {*hostings, *tenants}
    yield from (one for one in cloud.list_objects() if one.object_id not in claimed)
    for region in session.exec(select_models(Region)):
        yield from region.orphans or ()


def _ledger_faults(session: Session) -> list[str]:
    vkey = ledger.find_vkey(session)
    if vkey is None:
        return ["the ledger was never sealed"]
    report = verify(export_lines(session), vkey)
    faults = [f"ledger: {finding.fault} {finding.reason}" for finding in report.findings]
    if ledger.count_unsequenced(session) or ledger.find_unsigned_checkpoint(session):
        faults.append("ledger: entries wait to be sealed")
    return faults
