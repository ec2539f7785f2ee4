"""Any order of wishes, decisions, steps and endings: quota and money add up at every moment."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import Session, col, select

from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    GONE,
    Answer,
    HostingStatus,
    NameTaken,
    NewHosting,
    NotEndable,
    RequestOpen,
    RequestStatus,
)
from control_plane.identity.rules import Actor, Role
from control_plane.kit.db import Database
from control_plane.ledger.models import LedgerEntry
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.rules import BudgetExceeded, QuotaExceeded, ReservationState, Resource
from tests.api import an_agency
from tests.offer import an_offer
from tests.quick_disk import quick_place

LIFE = "life:lif_x"
QUOTA = {
    Resource.SERVERS: 3,
    Resource.CPU_MILLIS: 1200,
    Resource.MEMORY_MIB: 700,
    Resource.DISK_MIB: 6000,
}
BUDGET = 45_000_000
NAMES = st.sampled_from(["one", "two", "three", "four"])
Step = Callable[[Session, str, str], None]


def _activate(session: Session, actor_id: str, hosting_id: str) -> None:
    actions.mark_active(session, actor_id, hosting_id, deployment_id="dep_x", generation=1)


def _fail(session: Session, actor_id: str, hosting_id: str) -> None:
    actions.mark_failed(session, actor_id, hosting_id, "disk_full", {})


def _quarantine(session: Session, actor_id: str, hosting_id: str) -> None:
    actions.quarantine(session, actor_id, hosting_id, ["host"])


def _abandon(session: Session, actor_id: str, hosting_id: str) -> None:
    actions.abandon(session, actor_id, hosting_id, "given up")


# What a life may write, and from where: the engine's steps come in an order, people in any.
STEPS: list[tuple[Step, set[HostingStatus]]] = [
    (actions.begin_building, {HostingStatus.REQUESTED, HostingStatus.BUILDING}),
    (_activate, {HostingStatus.BUILDING, HostingStatus.ACTIVE, HostingStatus.ENDING}),
    (_quarantine, {HostingStatus.BUILDING, HostingStatus.ACTIVE, HostingStatus.ENDING}),
    (actions.restore_service, {HostingStatus.QUARANTINED, HostingStatus.ENDING}),
    (_fail, set(HostingStatus)),
    (actions.begin_ending, {HostingStatus.ENDING}),
    (actions.mark_ended, {HostingStatus.ENDING, HostingStatus.ENDED}),
    (actions.mark_purged, {HostingStatus.ENDED, HostingStatus.PURGED, HostingStatus.CANCELLED}),
    (_abandon, set(HostingStatus)),
]


class Hostings(RuleBasedStateMachine):
    """An agency with little to spend, its owner, its operator, and the lives of its hostings."""

    hostings: Bundle[str] = Bundle("hostings")
    template: Path

    @initialize()
    def begin(self) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=quick_place()))
        shutil.copy(self.template, self._folder / "machine.db")
        self.db = Database(f"sqlite:///{self._folder / 'machine.db'}")
        with self.db.read() as session:
            agency = tenancy.find_agency(session, "health")
            assert agency is not None
            self.agency_id = agency.id
        roles = {self.agency_id: frozenset({Role.OWNER})}
        self.owner = Actor("psn_owner", "tok_a", "Owner", "ar", frozenset(), roles)
        self.operator = Actor("psn_op", "tok_b", "Op", "ar", frozenset({Role.OPERATOR}))
        self.terms = actions.Terms("edubba.localhost", 30, actions.installed_policy())

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self._folder)

    @rule(target=hostings, name=NAMES, size=st.sampled_from(["small", "medium", "large"]))
    def submit(self, name: str, size: str) -> Any:
        wish = NewHosting("health", name, "static-site", size, {})
        try:
            with self.db.begin() as session:
                return actions.submit_create(session, self.owner, wish, self.terms).hosting_id
        except (QuotaExceeded, BudgetExceeded, NameTaken):
            return ""

    @rule(hosting_id=hostings, answer=st.sampled_from([*Answer, None]))
    def decide(self, hosting_id: str, answer: Answer | None) -> None:
        if not hosting_id:
            return
        with self.db.begin() as session:
            request = queries.find_open_request(session, hosting_id)
            if request is None or request.status != RequestStatus.SUBMITTED:
                return
            plan = queries.get_plan(session, request)
            match answer:
                case Answer.APPROVE:
                    actions.approve(session, self.operator, request.id, plan.hash)
                case Answer.REJECT:
                    actions.reject(session, self.operator, request.id, "no")
                case None:
                    actions.withdraw(session, self.owner, request.id)

    @rule(hosting_id=hostings)
    def end(self, hosting_id: str) -> None:
        if not hosting_id:
            return
        with suppress(NotEndable, RequestOpen), self.db.begin() as session:
            actions.submit_end(session, self.owner, hosting_id, "old", self.terms)

    @rule(hosting_id=hostings, step=st.sampled_from(STEPS))
    def step(self, hosting_id: str, step: tuple[Step, set[HostingStatus]]) -> None:
        if not hosting_id:
            return
        write, present = step
        with self.db.begin() as session:
            hosting = queries.get_hosting(session, hosting_id)
            request = queries.get_create_request(session, hosting_id)
            is_waiting = request.status == RequestStatus.SUBMITTED
            is_over = hosting.status in {*GONE, HostingStatus.ENDING}
            if HostingStatus(hosting.status) not in present:
                return
            if (write is actions.begin_building and is_waiting) or (write is _abandon and is_over):
                return
            write(session, LIFE, hosting_id)

    @invariant()
    def what_is_taken_fits_and_belongs_to_what_is_there(self) -> None:
        if not hasattr(self, "db"):
            return
        with self.db.read() as session:
            used = tenancy.used_by(session, self.agency_id)
            for resource, most in {**QUOTA, Resource.COST: BUDGET}.items():
                assert 0 <= sum(used[resource].values()) <= most
            for hosting in session.exec(select(Hosting)).all():
                rows = tenancy.list_reservations(session, hosting.id)
                is_released = {row.state for row in rows} == {ReservationState.RELEASED}
                assert is_released == (hosting.status in GONE), hosting.status

    @invariant()
    def every_status_was_told_to_the_ledger(self) -> None:
        if not hasattr(self, "db"):
            return
        with self.db.read() as session:
            for hosting in session.exec(select(Hosting)).all():
                assert _last_told(session, hosting.id, "hosting.") == hosting.status
            for request in session.exec(select(Request)).all():
                assert _last_told(session, request.id, "request.") == request.status


def _last_told(session: Session, subject_id: str, prefix: str) -> str:
    query = select(LedgerEntry.action).where(
        col(LedgerEntry.subject_id) == subject_id, col(LedgerEntry.action).startswith(prefix)
    )
    last = session.exec(query.order_by(col(LedgerEntry.created_at).desc()).limit(1)).one()
    return last.removeprefix(prefix)


def test_no_order_of_events_overdraws_or_leaks(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "begun.db"
    shutil.copy(sqlite_template, path)
    db = Database(f"sqlite:///{path}")
    an_offer(db)
    an_agency(db, "health", QUOTA, BUDGET)
    db.close()  # and so the write-ahead log is in the file
    machine = type("Machine", (Hostings,), {"template": path})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_all_is_free_again_when_all_has_ended(sqlite_db: Database) -> None:
    an_offer(sqlite_db)
    agency = an_agency(sqlite_db, "health", QUOTA, BUDGET)
    roles = {agency.id: frozenset({Role.OWNER})}
    owner = Actor("psn_owner", "tok_a", "Owner", "ar", frozenset(), roles)
    terms = actions.Terms("edubba.localhost", 30, actions.installed_policy())
    for _ in range(20):
        with sqlite_db.begin() as session:
            wish = NewHosting("health", "one", "static-site", "small", {})
            hosting_id = actions.submit_create(session, owner, wish, terms).hosting_id
            actions.begin_building(session, LIFE, hosting_id)
            _activate(session, LIFE, hosting_id)
            actions.submit_end(session, owner, hosting_id, "old", terms)
            actions.begin_ending(session, LIFE, hosting_id)
            actions.mark_ended(session, LIFE, hosting_id)
            actions.mark_purged(session, LIFE, hosting_id)
            used = tenancy.used_by(session, agency.id)
            assert not any(sum(amounts.values()) for amounts in used.values())
