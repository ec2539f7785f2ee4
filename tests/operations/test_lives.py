"""What operators see of lives and do with them, and what is left of it in the ledger."""

from datetime import timedelta

from sqlmodel import col, select

from control_plane.engine.models import Life, LifeState
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import HostingStatus
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.db import database_now
from control_plane.ledger.models import LedgerEntry
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import Region
from control_plane.tenancy.rules import RegionKind
from tests.api import Api, a_person, an_agency
from tests.world import a_hosting_row, a_stopped_life, life_of

REASON = {"reason": "the image is there now"}


def _actions(api: Api, subject_id: str) -> list[str]:
    with api.db.read() as session:
        query = select(LedgerEntry.action).where(col(LedgerEntry.subject_id) == subject_id)
        return list(session.exec(query.order_by(col(LedgerEntry.id))))


def test_a_stopped_life_says_what_happened_in_the_readers_language(api: Api) -> None:
    a_stopped_life(api.db, an_agency(api.db), "image_missing")
    operator = a_person(api, Role.OPERATOR)
    path = "/v1/operations/lives?state=stopped"
    english = operator.get(path).json()["items"][0]["failure"]
    arabic = operator.get(path, headers={"Accept-Language": "ar"}).json()["items"][0]["failure"]
    assert english["happened"] == "The region does not have the prepared image that was approved"
    assert english["following"].startswith("Nothing is tried until an operator")
    assert english["mend"].startswith("An operator prepares the image")
    assert arabic["happened"] != english["happened"]
    assert arabic["code"] == english["code"] == "image_missing"


def test_only_lives_past_their_deadline_are_overdue(api: Api) -> None:
    agency = an_agency(api.db)
    late = life_of(api.db, a_hosting_row(api.db, agency))
    a_stopped_life(api.db, agency)
    with api.db.begin() as session:
        row = session.get_one(Life, late.id)
        row.deadline_at = database_now(session) - timedelta(seconds=1)
        session.add(row)
    operator = a_person(api, Role.OPERATOR)
    listed = operator.get("/v1/operations/lives?overdue=true&kind=hosting").json()["items"]
    assert [life["id"] for life in listed] == [late.id]


def test_retrying_lets_a_stopped_life_go_on_and_is_written_down(api: Api) -> None:
    life = a_stopped_life(api.db, an_agency(api.db))
    operator = a_person(api, Role.OPERATOR)
    answer = operator.post(f"/v1/operations/lives/{life.id}/retry", REASON)
    assert answer.status_code == 200
    assert answer.json()["state"] == "live"
    assert answer.json()["failure"] is None
    assert "life.retried" in _actions(api, life.subject_id)


def test_a_life_that_moves_is_neither_retried_nor_given_up(api: Api) -> None:
    life = life_of(api.db, a_hosting_row(api.db, an_agency(api.db)))
    operator = a_person(api, Role.OPERATOR)
    for verb in ("retry", "abandon"):
        answer = operator.post(f"/v1/operations/lives/{life.id}/{verb}", REASON)
        assert answer.status_code == 409
        assert answer.json()["code"] == "life_not_stopped"


def test_what_was_never_in_service_can_be_given_up(api: Api) -> None:
    life = a_stopped_life(api.db, an_agency(api.db))
    operator = a_person(api, Role.OPERATOR)
    answer = operator.post(f"/v1/operations/lives/{life.id}/abandon", REASON)
    assert answer.status_code == 200
    assert answer.json()["ending_at"] is not None
    assert "life.abandoned" in _actions(api, life.subject_id)


def test_what_may_hold_data_is_not_given_up(api: Api) -> None:
    life = a_stopped_life(api.db, an_agency(api.db))
    with api.db.begin() as session:
        hosting = session.get_one(Hosting, life.subject_id)
        hosting.active_at, hosting.status = clock.now(), HostingStatus.FAILED
        session.add(hosting)
    answer = a_person(api, Role.OPERATOR).post(f"/v1/operations/lives/{life.id}/abandon", REASON)
    assert answer.status_code == 409
    assert answer.json()["code"] == "life_holds_data"
    with api.db.read() as session:
        assert session.get_one(Life, life.id).ending_at is None


def test_the_platforms_own_lives_are_not_given_up(api: Api) -> None:
    with api.db.begin() as session:
        region = tenancy.ensure_region(session, "memory", RegionKind.MEMORY)
        life = session.exec(select(Life).where(col(Life.subject_id) == region.id)).one()
        life.state, life.failure_code = LifeState.STOPPED, "step_crashed"
        session.add(life)
    answer = a_person(api, Role.OPERATOR).post(f"/v1/operations/lives/{life.id}/abandon", REASON)
    assert answer.status_code == 409
    assert answer.json()["code"] == "life_not_given_up"


def test_a_pause_is_seen_with_its_reason_until_it_is_over(api: Api) -> None:
    operator = a_person(api, Role.OPERATOR)
    paused = operator.post("/v1/operations/pause", {"kind": "*", "reason": "moving the machine"})
    assert paused.json()["items"][0]["reason"] == "moving the machine"
    assert len(operator.get("/v1/operations/pauses").json()["items"]) == 1
    assert operator.post("/v1/operations/resume", {"kind": "*"}).json() == {"items": []}
    again = operator.post("/v1/operations/resume", {"kind": "*"})
    assert again.status_code == 409
    assert _actions(api, "kind:*") == ["engine.paused", "engine.resumed"]


def test_orphans_are_shown_as_last_observed(api: Api) -> None:
    with api.db.begin() as session:
        region = tenancy.ensure_region(session, "memory", RegionKind.MEMORY)
        row = session.get_one(Region, region.id)
        row.orphans = [{"kind": "server", "name": "v7"}]
        session.add(row)
    shown = a_person(api, Role.AUDITOR).get("/v1/operations/orphans").json()["items"]
    assert shown == [{"region": "memory", "facts": {"kind": "server", "name": "v7"}}]


def test_pages_stay_whole_while_rows_come(api: Api) -> None:
    agency = an_agency(api.db)
    known = {life_of(api.db, a_hosting_row(api.db, agency)).id for _ in range(7)}
    operator = a_person(api, Role.OPERATOR)
    seen: list[str] = []
    cursor = ""
    while True:
        path = f"/v1/operations/lives?kind=hosting&limit=2{cursor}"
        page = operator.get(path).json()
        seen += [life["id"] for life in page["items"]]
        a_hosting_row(api.db, agency)  # newer than every page to come
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 7
    assert set(seen) == known


def test_a_cursor_of_nowhere_is_refused(api: Api) -> None:
    operator = a_person(api, Role.OPERATOR)
    for cursor in ("!", "%C3%A9", "gA"):
        answer = operator.get(f"/v1/operations/lives?cursor={cursor}")
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")
    entries = operator.get("/v1/ledger/entries?cursor=YWJj")
    assert entries.json()["code"] == "cursor_invalid"
