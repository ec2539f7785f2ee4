"""Where a hosting is to be, why, and what an operator decides about regions."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, select

from control_plane.hosting.models import Request
from control_plane.identity.rules import Role
from control_plane.kit import text
from control_plane.kit.db import Database
from control_plane.ledger.models import LedgerEntry
from control_plane.tenancy import actions
from control_plane.tenancy.rules import (
    PLACED_BY,
    NoRegionOpen,
    Place,
    PlacedBy,
    RegionKind,
    RegionNotAllowed,
    RegionNotOpen,
    RegionNotServed,
    RegionState,
    RegionUnknown,
    RegionUnnamed,
    choose_place,
)
from tests.api import a_person, an_agency, an_api
from tests.offer import a_region, a_wish, an_offer

A = Place("a", RegionState.OPEN, is_served=True, has_tenant=False, has_image=True, room_mib=10)
B = replace(A, region="b", room_mib=20)
PLACES = st.builds(
    Place,
    region=st.uuids().map(str),
    state=st.sampled_from(RegionState),
    is_served=st.booleans(),
    has_tenant=st.booleans(),
    has_image=st.booleans(),
    room_mib=st.integers(-100, 100),
    is_allowed=st.booleans(),
    is_default=st.booleans(),
)


def test_the_open_region_with_most_room_is_chosen() -> None:
    assert choose_place([A, B], None) == (B, PlacedBy.ROOM)
    assert choose_place([A, replace(B, room_mib=10)], None)[0] == A


def test_a_region_that_can_not_make_it_is_chosen_only_where_none_can() -> None:
    bare = replace(B, has_image=False)
    assert choose_place([A, bare], None) == (A, PlacedBy.ONLY)
    assert choose_place([replace(A, has_image=False), bare], None)[0] == bare


def test_a_tenant_is_not_torn_apart() -> None:
    assert choose_place([replace(A, has_tenant=True), B], None)[1] == PlacedBy.TENANT
    closed = replace(A, has_tenant=True, state=RegionState.CLOSED)
    assert choose_place([closed, B], None) == (closed, PlacedBy.TENANT)
    with pytest.raises(RegionUnnamed):
        choose_place([replace(A, has_tenant=True), replace(B, has_tenant=True)], None)


def test_what_is_closed_or_not_served_takes_nothing_new() -> None:
    closed, dropped = replace(B, state=RegionState.CLOSED), replace(B, is_served=False)
    assert choose_place([A, closed], None) == (A, PlacedBy.ONLY)
    assert choose_place([A, dropped], None) == (A, PlacedBy.ONLY)
    with pytest.raises(RegionNotOpen):
        choose_place([A, closed], "b")
    with pytest.raises(RegionNotServed):
        choose_place([A, dropped], "b")
    with pytest.raises(RegionUnknown):
        choose_place([A], "b")
    with pytest.raises(NoRegionOpen):
        choose_place([closed], None)


def test_an_agency_is_kept_to_its_regions() -> None:
    foreign = replace(B, is_allowed=False)
    assert choose_place([A, foreign], None) == (A, PlacedBy.ONLY)
    with pytest.raises(RegionNotAllowed):
        choose_place([A, foreign], "b")
    grown = replace(foreign, has_tenant=True)  # from before: it stays, and may grow
    assert choose_place([A, grown], "b") == (grown, PlacedBy.WISH)
    own = replace(A, is_default=True)
    assert choose_place([own, B], None) == (own, PlacedBy.AGENCY)
    assert choose_place([replace(own, state=RegionState.CLOSED), B], None)[0] == B


@given(st.lists(PLACES, max_size=6))
def test_no_choice_is_ever_one_that_takes_nothing(places: list[Place]) -> None:
    try:
        chosen, why = choose_place(places, None)
    except (NoRegionOpen, RegionUnnamed):
        return
    assert chosen.is_served
    assert chosen.state != RegionState.RETIRED
    assert why == PlacedBy.TENANT or (chosen.state == RegionState.OPEN and chosen.is_allowed)


@pytest.mark.parametrize("why", PlacedBy)
def test_each_reason_has_words(why: PlacedBy) -> None:
    assert text.has_translation(PLACED_BY[why], "ar")


def test_an_operator_closes_opens_and_retires_regions(db: Database) -> None:
    with an_api(db) as api:
        an_offer(db)
        a_region(db, "second")
        agency = an_agency(db)
        owner, operator = a_person(api, Role.OWNER, agency), a_person(api, Role.OPERATOR)

        def decide(region: str, state: str) -> tuple[int, str]:
            wish = {"state": state, "reason": "the cooling is mended"}
            answer = operator.request("PUT", f"/v1/regions/{region}/state", json=wish)
            told = answer.json()
            return answer.status_code, told.get("code") or told["state"]

        def ask(**more: str) -> tuple[int, str]:
            answer = owner.post("/v1/requests", a_wish(**more))
            told = answer.json()
            return answer.status_code, told.get("code") or told["plan"]["body"]["region"]

        assert decide("local", "closed") == (200, "closed")
        assert ask(name="one", tenant="first", region="local") == (409, "region_not_open")
        assert ask(name="one", tenant="first") == (202, "second")
        assert decide("local", "open") == (200, "open")
        assert ask(name="two", tenant="first") == (202, "second")  # where its tenant is
        assert ask(name="three", tenant="other") == (202, "local")  # where more is free
        assert decide("second", "closed") == (200, "closed")
        assert ask(name="four", tenant="first") == (202, "second")
        assert decide("second", "retired") == (409, "region_in_use")
        a_region(db, "third")
        assert decide("third", "retired") == (200, "retired")
        assert decide("third", "open") == (409, "region_state_refused")
        assert ask(name="five", tenant="new", region="third") == (409, "region_not_open")
        _see_reasons(db)


def _see_reasons(db: Database) -> None:
    with db.read() as session:
        wishes = [row.wish for row in session.exec(select(Request).order_by(col(Request.id)))]
        assert [wish["placed_by"] for wish in wishes] == ["only", "tenant", "room", "tenant"]
        entries = [entry.action for entry in session.exec(select(LedgerEntry))]
    assert entries.count("region.closed") == 2
    assert {"region.open", "region.retired", "region.added"} <= set(entries)


def test_a_region_that_the_settings_drop_takes_nothing_until_it_is_back(db: Database) -> None:
    with an_api(db) as api:
        an_offer(db)
        owner = a_person(api, Role.OWNER, an_agency(db))
        with db.begin() as session:
            actions.drop_other_regions(session, set())
        told = owner.post("/v1/requests", a_wish(region="local")).json()
        assert told["code"] == "region_not_served"
        assert owner.post("/v1/requests", a_wish()).json()["code"] == "no_region_open"
        with db.begin() as session:
            actions.ensure_region(session, "local", RegionKind.MEMORY)
        assert owner.post("/v1/requests", a_wish()).status_code == 202


def test_the_data_centre_keeps_an_agency_to_regions(db: Database) -> None:
    with an_api(db) as api:
        an_offer(db)
        a_region(db, "second")
        agency = an_agency(db)
        owner, operator = a_person(api, Role.OWNER, agency), a_person(api, Role.OPERATOR)

        def keep(*allowed: str, default: str | None = None) -> tuple[int, str]:
            wish, tag = {"allowed": allowed, "default": default}, {"If-Match": "*"}
            path = "/v1/agencies/health/regions"
            answer = operator.request("PUT", path, json=wish, headers=tag)
            told = answer.json()
            return answer.status_code, told.get("code") or ",".join(told["regions"]["allowed"])

        assert keep("nowhere") == (404, "not_found")
        assert keep("local", default="second") == (409, "region_not_allowed")
        assert keep("local") == (200, "local")
        told = owner.post("/v1/requests", a_wish(region="second")).json()
        assert (told["code"], told["facts"]["known"]) == ("region_not_allowed", "local")
        assert keep("local", "second", default="second") == (200, "local,second")
        told = owner.post("/v1/requests", a_wish()).json()
        assert (told["placed_by"], told["plan"]["body"]["region"]) == ("agency", "second")
        assert keep() == (200, "")
