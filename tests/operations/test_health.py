"""What watches the platform gets figures, from here or with a right to them, and the truth."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.rules import Resource
from tests.api import Api, User, a_person, an_agency, an_api
from tests.world import a_hosting_row, a_stopped_life


@pytest.fixture
def here(api: Api) -> Iterator[TestClient]:
    with TestClient(api.app, client=("127.0.0.1", 50_000)) as client:
        yield client


def test_figures_show_lives_reservations_and_the_ledgers_lag(api: Api, here: TestClient) -> None:
    agency = an_agency(api.db)
    a_hosting_row(api.db, agency)
    a_stopped_life(api.db, agency)
    with api.db.begin() as session:
        tenancy.reserve(session, agency.id, "hst_x", {Resource.SERVERS: 3})
    text = here.get("/metrics").text
    assert 'edubba_lives{kind="hosting",state="stopped",step="await_decision"} 1.0' in text
    assert 'edubba_lives_overdue{kind="hosting"} 0.0' in text
    assert 'edubba_reservations{resource="servers",state="held"} 3.0' in text
    assert 'edubba_isolation_failed{region="local"} 0.0' in text
    assert 'edubba_region_unseen_seconds{region="local"}' in text
    assert "edubba_ledger_unsequenced 0.0" not in text


def test_a_stranger_gets_no_figures_and_a_proxy_is_a_stranger(api: Api, here: TestClient) -> None:
    far = TestClient(api.app, client=("192.0.2.7", 50_000))
    for path in ("/metrics", "/v1/targets"):
        assert here.get(path).status_code == 200
        assert far.get(path).status_code == 401
        forwarded = here.get(path, headers={"X-Forwarded-For": "192.0.2.7"})
        assert forwarded.status_code == 401
    auditor, owner = a_person(api, Role.AUDITOR), a_person(api, Role.OWNER, an_agency(api.db))
    assert _as(far, auditor).get("/metrics").status_code == 200
    refused = _as(far, owner).get("/metrics")
    assert (refused.status_code, refused.json()["code"]) == (403, "scrape_refused")


def _as(client: TestClient, user: User) -> User:
    return User(client, user.person, user.actor, user.secret)


def test_targets_have_the_form_that_prometheus_reads(sqlite_db: Database) -> None:
    with an_api(sqlite_db, targets={"worker": "127.0.0.1:8601"}) as api:
        here = TestClient(api.app, client=("127.0.0.1", 50_000))
        listed = here.get("/v1/targets").json()
    assert listed == [{"targets": ["127.0.0.1:8601"], "labels": {"process": "worker"}}]


@pytest.mark.parametrize("missing", ["migrations", "sweep"])
def test_it_is_ready_only_when_nothing_is_missing(sqlite_db: Database, missing: str) -> None:
    state = {"migrations": True, "sweep": True}
    checks = {name: lambda name=name: state[name] for name in state}
    with an_api(sqlite_db, checks=checks) as api:
        assert api.client.get("/readyz").status_code == 200
        state[missing] = False
        answer = api.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"][missing] is False
        assert api.client.get("/livez").status_code == 200


def test_without_a_database_it_lives_but_is_not_ready() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with an_api(away) as api:
        assert api.client.get("/livez").status_code == 200
        answer = api.client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, False)
        assert api.client.get("/v1/ledger/key").json()["code"] == "temporarily_unavailable"
    away.close()
