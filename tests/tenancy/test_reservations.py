"""An agency never gets more than its quota and budget, however many ask at once."""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.kit.ids import new_id
from control_plane.kit.money import Money
from control_plane.ledger.rules import SYSTEM
from control_plane.tenancy import actions, queries
from control_plane.tenancy.rules import (
    QUARANTINE,
    AgencySuspended,
    BudgetExceeded,
    CurrencyUnfit,
    QuotaExceeded,
    RegionKind,
    ReservationState,
    Resource,
    TenantEnding,
    TenantStatus,
)
from tests.api import PLENTY, an_agency

CLIENTS = 64
ROUNDS = 100


def _reserve(db: Database, agency_id: str, amounts: Mapping[Resource, int]) -> str | None:
    """Return the subject that got it, or None where the quota or the budget was too small."""
    subject = new_id("hst")
    try:
        with db.begin() as session:
            actions.reserve(session, agency_id, subject, amounts)
    except (QuotaExceeded, BudgetExceeded):
        return None
    return subject


def _taken(db: Database, agency_id: str) -> dict[Resource, int]:
    with db.read() as session:
        used = queries.used_by(session, agency_id)
    return {resource: sum(states.values()) for resource, states in used.items()}


def test_all_of_it_or_nothing_is_reserved(db: Database) -> None:
    agency = an_agency(db, quota={**PLENTY, Resource.DISK_MIB: 10})
    wanted = {Resource.SERVERS: 1, Resource.DISK_MIB: 11}
    with pytest.raises(QuotaExceeded) as refused, db.begin() as session:
        actions.reserve(session, agency.id, "hst_a", wanted)
    assert refused.value.facts["resource"] == "disk_mib"
    assert (refused.value.facts["need"], refused.value.facts["left"]) == (11, 10)
    assert set(_taken(db, agency.id).values()) == {0}


def test_the_budget_is_told_by_the_month(db: Database) -> None:
    agency = an_agency(db, budget=10_000_000)
    with pytest.raises(BudgetExceeded) as refused, db.begin() as session:
        actions.reserve(session, agency.id, "hst_a", {Resource.COST: 10_000_001})
    assert refused.value.facts["need"] == "7300.001"
    assert refused.value.facts["left"] == "7300.000"


def test_without_a_quota_or_a_budget_an_agency_gets_nothing(db: Database) -> None:
    agency = an_agency(db, quota={}, budget=None)
    assert _reserve(db, agency.id, {Resource.SERVERS: 1}) is None
    assert _reserve(db, agency.id, {Resource.COST: 1}) is None


def test_reserving_again_replaces_what_the_same_hosting_held(db: Database) -> None:
    agency = an_agency(db, quota={**PLENTY, Resource.SERVERS: 2})
    for servers in (2, 1, 2):
        with db.begin() as session:
            actions.reserve(session, agency.id, "hst_a", {Resource.SERVERS: servers})
        assert _taken(db, agency.id)[Resource.SERVERS] == servers


def test_what_is_released_can_be_had_again_and_only_once(db: Database) -> None:
    agency = an_agency(db, quota={**PLENTY, Resource.SERVERS: 1})
    subject = _reserve(db, agency.id, {Resource.SERVERS: 1})
    assert subject is not None
    with db.begin() as session:
        actions.commit_reservation(session, subject)
    assert _reserve(db, agency.id, {Resource.SERVERS: 1}) is None
    for _ in range(2):
        with db.begin() as session:
            actions.release_reservation(session, subject)
    with db.begin() as session:
        actions.commit_reservation(session, subject)  # too late: it stays released
    assert _reserve(db, agency.id, {Resource.SERVERS: 1}) is not None
    assert _reserve(db, agency.id, {Resource.SERVERS: 1}) is None
    with db.read() as session:
        states = {row.state for row in queries.list_reservations(session, subject)}
    assert states == {ReservationState.RELEASED}


def test_a_suspended_agency_reserves_nothing(db: Database) -> None:
    agency = an_agency(db)
    with db.begin() as session:
        row = queries.lock_agency(session, agency.id)
        row.suspended_at = clock.now()
        session.add(row)
    with pytest.raises(AgencySuspended), db.begin() as session:
        actions.reserve(session, agency.id, "hst_a", {Resource.SERVERS: 1})


@pytest.mark.slow
def test_of_64_at_once_exactly_those_that_fit_get_it_a_hundred_times(db: Database) -> None:
    dice = random.Random(5)  # noqa: S311  # the same rounds each time
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(ROUNDS):
            quota, fits_budget = dice.randrange(CLIENTS + 9), dice.randrange(CLIENTS + 9)
            cost, servers = dice.randrange(1, 500), dice.randrange(1, 4)
            agency = an_agency(
                db,
                f"a{number}",
                quota={**PLENTY, Resource.SERVERS: quota},
                budget=fits_budget * cost + dice.randrange(cost),
            )
            wanted = {Resource.SERVERS: servers, Resource.COST: cost}
            asked = [agency.id] * CLIENTS
            got = list(pool.map(lambda who, w=wanted: _reserve(db, who, w), asked))
            granted = sum(subject is not None for subject in got)
            assert granted == min(CLIENTS, quota // servers, fits_budget)
            taken = _taken(db, agency.id)
            assert taken[Resource.SERVERS] == granted * servers
            assert taken[Resource.COST] == granted * cost


def test_64_at_once_get_64_different_serials_without_a_gap(db: Database) -> None:
    with db.begin() as session:
        region = actions.ensure_region(session, "memory", RegionKind.MEMORY)

    def allocate(number: int) -> tuple[int, str]:
        with db.begin() as session:
            row = actions.allocate(session, region.id, f"hst_{number}")
            return row.serial, row.v4

    with ThreadPoolExecutor(CLIENTS) as pool:
        got = list(pool.map(allocate, range(CLIENTS)))
        again = list(pool.map(allocate, range(CLIENTS)))
    assert sorted(serial for serial, _ in got) == list(range(1, CLIENTS + 1))
    assert len({v4 for _, v4 in got}) == CLIENTS
    assert got == again


def test_a_serial_given_back_rests_before_the_lowest_is_given_again(db: Database) -> None:
    with db.begin() as session:
        region = actions.ensure_region(session, "memory", RegionKind.MEMORY)
    for subject in ("hst_a", "hst_b", "hst_c"):
        with db.begin() as session:
            actions.allocate(session, region.id, subject)
    for subject in ("hst_b", "hst_a", "hst_a"):
        with db.begin() as session:
            actions.quarantine(session, subject)
    with db.begin() as session:
        assert actions.allocate(session, region.id, "hst_d").serial == 4
    with clock.shifted(QUARANTINE + timedelta(seconds=1)), db.begin() as session:
        assert actions.allocate(session, region.id, "hst_e").serial == 1
        assert actions.allocate(session, region.id, "hst_f").serial == 2
        assert actions.allocate(session, region.id, "hst_g").serial == 5


def test_sixteen_at_once_make_one_tenant_with_one_life(db: Database) -> None:
    agency = an_agency(db)
    with db.begin() as session:
        region = actions.ensure_region(session, "memory", RegionKind.MEMORY)

    def ensure(_: int) -> str:
        with db.begin() as session:
            return actions.ensure_tenant_row(session, agency.id, region.id, "main").id

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ensure, range(16)))) == 1


def test_a_name_is_free_again_only_when_its_tenant_has_ended(db: Database) -> None:
    agency = an_agency(db)
    with db.begin() as session:
        region = actions.ensure_region(session, "memory", RegionKind.MEMORY)
        first = actions.ensure_tenant_row(session, agency.id, region.id, "main")
        first.status = TenantStatus.ENDING
        session.add(first)
    with pytest.raises(TenantEnding), db.begin() as session:
        actions.ensure_tenant_row(session, agency.id, region.id, "main")
    with db.begin() as session:
        ended = session.merge(first)
        ended.status = TenantStatus.ENDED
    with db.begin() as session:
        assert actions.ensure_tenant_row(session, agency.id, region.id, "main").id != first.id


def test_a_budget_in_another_currency_is_refused(db: Database) -> None:
    agency = an_agency(db)
    with pytest.raises(CurrencyUnfit), db.begin() as session:
        actions.set_budget(session, SYSTEM, agency.id, Money("USD", 1))
