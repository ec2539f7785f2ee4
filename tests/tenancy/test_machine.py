"""Whatever is reserved, committed and released in whatever order: the sums stay true and within."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from control_plane.kit.db import Database
from control_plane.kit.errors import Problem
from control_plane.ledger.rules import SYSTEM
from control_plane.tenancy import actions, queries
from control_plane.tenancy.rules import BudgetExceeded, QuotaExceeded, ReservationState, Resource
from tests.api import PLENTY, an_agency
from tests.quick_disk import quick_place

SUBJECTS = st.sampled_from([f"hst_{letter}" for letter in "abcde"])
SERVERS, COSTS = st.integers(0, 6), st.integers(0, 60)


class Means(RuleBasedStateMachine):
    """The rows beside what a person with a pencil would have noted: subject → servers, cost."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="means-", dir=quick_place()))
        shutil.copy(self.template, self.home / "edubba.db")
        self.db = Database(f"sqlite:///{self.home / 'edubba.db'}")
        self.quota, self.budget = 10, 100
        self.agency = an_agency(
            self.db, quota={**PLENTY, Resource.SERVERS: self.quota}, budget=self.budget
        )
        self.noted: dict[str, tuple[int, int, bool]] = {}

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.home)

    @rule(subject=SUBJECTS, servers=SERVERS, cost=COSTS)
    def reserve(self, subject: str, servers: int, cost: int) -> None:
        others = [note for name, note in self.noted.items() if name != subject]
        fits_quota = servers == 0 or servers + sum(n[0] for n in others) <= self.quota
        fits_budget = cost == 0 or cost + sum(n[1] for n in others) <= self.budget
        wanted = {Resource.SERVERS: servers, Resource.COST: cost}
        refusal: type[Problem] | None = None
        try:
            with self.db.begin() as session:
                actions.reserve(session, self.agency.id, subject, wanted)
        except (QuotaExceeded, BudgetExceeded) as refused:
            refusal = type(refused)
        else:
            self.noted[subject] = (servers, cost, False)
        expected = None if fits_budget else BudgetExceeded
        assert refusal is (expected if fits_quota else QuotaExceeded)

    @rule(subject=SUBJECTS)
    def commit(self, subject: str) -> None:
        with self.db.begin() as session:
            actions.commit_reservation(session, subject)
        if subject in self.noted:
            self.noted[subject] = (*self.noted[subject][:2], True)

    @rule(subject=SUBJECTS)
    def release(self, subject: str) -> None:
        with self.db.begin() as session:
            actions.release_reservation(session, subject)
        self.noted.pop(subject, None)

    @rule(quota=st.integers(0, 20))
    def change_quota(self, quota: int) -> None:
        with self.db.begin() as session:
            actions.set_quota(session, SYSTEM, self.agency.id, {Resource.SERVERS: quota})
        self.quota = quota

    @invariant()
    def the_rows_say_what_was_noted(self) -> None:
        with self.db.read() as session:
            used = queries.used_by(session, self.agency.id)
        for column, resource in enumerate((Resource.SERVERS, Resource.COST)):
            for is_committed, state in enumerate(
                (ReservationState.HELD, ReservationState.COMMITTED)
            ):
                noted = [n[column] for n in self.noted.values() if n[2] == bool(is_committed)]
                assert used[resource][state] == sum(noted)


@pytest.mark.slow
def test_reservations_in_any_order_add_up(sqlite_template: Path) -> None:
    Means.template = sqlite_template
    run_state_machine_as_test(
        Means, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
