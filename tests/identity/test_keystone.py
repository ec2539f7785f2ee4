"""Who comes with a token of Keystone: what it lets them do, and what it never does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response
from sqlmodel import col, func, select

from control_plane.app import new_desk
from control_plane.identity import actions
from control_plane.identity.actions import keystone
from control_plane.identity.models import KeystoneUser, Person
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.ledger.models import LedgerEntry
from control_plane.ledger.rules import SYSTEM
from control_plane.ports.identity_source.cached import KEPT, CachedIdentitySource
from control_plane.ports.identity_source.memory import MemoryIdentitySource
from control_plane.ports.identity_source.port import Project
from control_plane.settings import Settings
from tests.api import Api, User, a_person, an_agency, an_api

PROJECT = Project("6f0c5b1e", "default")


@dataclass(frozen=True, slots=True)
class World:
    api: Api
    source: MemoryIdentitySource
    operator: User

    def ask(self, token: str, method: str = "GET", path: str = "/v1/me", **said: Any) -> Response:
        headers = {"X-Auth-Token": token, "Accept-Language": "en"} | said.pop("headers", {})
        return self.api.client.request(method, path, headers=headers, **said)

    def map_project(self, slug: str = "health", **roles: str) -> None:
        path = f"/v1/agencies/{slug}/projects/{PROJECT.id}"
        answer = self.operator.put(path, {"domain_id": PROJECT.domain_id, "roles": roles})
        assert answer.status_code == 200, answer.text

    def count(self, table: type) -> int:
        with self.api.db.read() as session:
            return session.exec(select(func.count()).select_from(table)).one()


@pytest.fixture
def world(db: Database) -> Iterator[World]:
    source = MemoryIdentitySource()
    with an_api(db, identity_source=source) as api:
        an_agency(db)
        yield World(api, source, a_person(api, Role.OPERATOR))


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_member_of_a_mapped_project_acts_for_its_agency_by_their_role_there(
    world: World,
) -> None:
    world.map_project(member="developer", admin="owner")
    me = world.ask(world.source.issue("u1", PROJECT, "member", "reader")).json()
    assert [(one["slug"], one["roles"]) for one in me["agencies"]] == [("health", ["developer"])]
    assert (me["name"], me["email"], me["token_id"], me["centre_roles"]) == ("noor", None, None, [])
    both = world.ask(world.source.issue("u1", PROJECT, "member", "admin")).json()
    assert both["agencies"][0]["roles"] == ["developer", "owner"]
    assert both["id"] == me["id"]


def test_a_person_is_made_when_they_first_come_and_the_ledger_says_so(world: World) -> None:
    world.map_project(member="developer")
    known = world.count(Person)
    token = world.source.issue("u1", PROJECT, "member")
    me = world.ask(token).json()
    world.ask(token)
    assert world.count(Person) == known + 1
    query = select(LedgerEntry).where(col(LedgerEntry.subject_id) == me["id"])
    with world.api.db.read() as session:
        entries = session.exec(query.order_by(col(LedgerEntry.id))).all()
    assert [one.action for one in entries] == ["person.created", "person.met"]
    assert [one.actor_id for one in entries] == [SYSTEM, me["id"]]
    assert '"keystone_user":"u1"' in str(entries[1].payload)


def test_who_comes_twice_at_once_is_one_person(world: World) -> None:
    world.map_project(member="developer")
    token = world.source.issue("u1", PROJECT, "member")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: world.ask(token), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert world.count(KeystoneUser) == 1


def test_nobody_becomes_somebody_known_by_a_name_or_an_address(world: World) -> None:
    world.map_project(member="viewer")
    name = str(world.operator.person.email)
    me = world.ask(world.source.issue("u1", PROJECT, "member", name=name)).json()
    assert me["id"] != world.operator.person.id
    assert me["centre_roles"] == []


def test_what_a_person_does_bears_their_name_in_the_ledger(world: World) -> None:
    world.map_project(admin="owner")
    token = world.source.issue("u1", PROJECT, "admin")
    body = {"email": "new@example.iq", "role": "viewer"}
    path, key = "/v1/agencies/health/members", {"Idempotency-Key": uuid4().hex}
    assert world.ask(token, "POST", path, json=body, headers=key).status_code == 201
    me = world.ask(token).json()["id"]
    query = select(LedgerEntry).where(col(LedgerEntry.action) == "role.granted")
    with world.api.db.read() as session:
        assert me in {entry.actor_id for entry in session.exec(query)}


@pytest.mark.parametrize("project", [None, PROJECT, Project(PROJECT.id, "another")])
def test_a_token_that_stands_for_nobody_is_refused_and_leaves_no_trace(
    world: World, project: Project | None
) -> None:
    if project != PROJECT:
        world.map_project(member="owner")
    people, entries = world.count(Person), world.count(LedgerEntry)
    answer = world.ask(world.source.issue("u1", project, "member"))
    missing = "project_missing" if project is None else "project_unmapped"
    assert refusal(answer) == (403, missing)
    assert answer.json()["mend"]
    assert (world.count(Person), world.count(LedgerEntry)) == (people, entries)


def test_a_role_that_is_not_mapped_is_none(world: World) -> None:
    world.map_project(member="developer")
    answer = world.ask(world.source.issue("u1", PROJECT, "reader"))
    assert refusal(answer) == (403, "project_roles_unmapped")
    assert answer.json()["facts"]["counts"] == "member"
    assert world.count(KeystoneUser) == 0


def test_an_agencys_project_reaches_no_other_agency_nor_the_data_centre(world: World) -> None:
    an_agency(world.api.db, "water")
    world.map_project(admin="owner")
    token = world.source.issue("u1", PROJECT, "admin")
    assert world.ask(token, path="/v1/agencies/health").status_code == 200
    assert world.ask(token, path="/v1/agencies/water").status_code == 404
    assert world.ask(token, path="/v1/operations/lives").status_code == 403
    body = {"domain_id": "default", "roles": {"admin": "owner"}}
    more = world.ask(token, "PUT", "/v1/agencies/health/projects/another", json=body)
    assert more.status_code == 403


def test_a_project_of_the_data_centre_makes_operators_and_auditors(world: World) -> None:
    roles = {"admin": Role.OPERATOR, "reader": Role.AUDITOR}
    with world.api.db.begin() as session:
        wish = keystone.Mapping(PROJECT.id, PROJECT.domain_id, None, roles)
        keystone.map_project(session, SYSTEM, wish)
    operator = world.source.issue("u1", PROJECT, "admin")
    auditor = world.source.issue("u2", PROJECT, "reader")
    assert world.ask(operator).json()["centre_roles"] == ["operator"]
    assert world.ask(auditor).json()["centre_roles"] == ["auditor"]
    body = {"domain_id": "default", "roles": {"member": "viewer"}}
    path = "/v1/agencies/health/projects/another"
    assert world.ask(auditor, "PUT", path, json=body).status_code == 403
    assert world.ask(operator, "PUT", path, json=body).status_code == 200


def test_a_revoked_token_and_a_disabled_user_are_nobody(world: World) -> None:
    world.map_project(member="viewer")
    first, second = (world.source.issue("u1", PROJECT, "member") for _ in range(2))
    assert world.ask(first).status_code == 200
    world.source.revoke(first)
    assert refusal(world.ask(first)) == (401, "keystone_token_refused")
    world.source.disabled.add("u1")
    assert refusal(world.ask(second)) == (401, "keystone_token_refused")


def test_who_is_disabled_here_is_not_let_in_by_keystone(world: World) -> None:
    world.map_project(member="viewer")
    token = world.source.issue("u1", PROJECT, "member")
    person_id = world.ask(token).json()["id"]
    with world.api.db.begin() as session:
        actions.disable_person(session, SYSTEM, person_id)
    assert refusal(world.ask(token)) == (403, "person_disabled")


def test_a_project_that_is_removed_acts_for_nobody_at_the_next_request(world: World) -> None:
    world.map_project(member="viewer")
    token = world.source.issue("u1", PROJECT, "member")
    assert world.ask(token).status_code == 200
    path = f"/v1/agencies/health/projects/{PROJECT.id}"
    assert world.operator.delete(path).status_code == 204
    assert refusal(world.ask(token)) == (403, "project_unmapped")
    assert world.operator.delete(path).status_code == 404


def test_while_keystone_is_away_nobody_gets_in_by_it_and_others_do(world: World) -> None:
    world.map_project(member="viewer")
    token = world.source.issue("u1", PROJECT, "member")
    world.source.is_away = True
    answer = world.ask(token)
    assert refusal(answer) == (503, "identity_source_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert world.operator.get("/v1/me").status_code == 200


def test_keystone_is_not_asked_where_there_is_a_token_of_ours(world: World) -> None:
    world.map_project(member="viewer")
    token = world.source.issue("u1", PROJECT, "member")
    both = {"Authorization": f"Bearer {world.operator.secret}"}
    assert world.ask(token, headers=both).json()["id"] == world.operator.person.id
    wrong = {"Authorization": "Bearer edb_wrong"}
    assert refusal(world.ask(token, headers=wrong)) == (401, "not_authenticated")
    assert world.source.asked == 0


def test_a_token_of_keystone_makes_no_token_that_would_outlive_it(world: World) -> None:
    world.map_project(admin="owner")
    token = world.source.issue("u1", PROJECT, "admin")
    key = {"Idempotency-Key": uuid4().hex}
    made = world.ask(token, "POST", "/v1/tokens", json={"name": "pipeline"}, headers=key)
    assert refusal(made) == (403, "forbidden")
    assert refusal(world.ask(token, "POST", "/v1/logout")) == (409, "token_foreign")


def test_a_project_acts_for_one_agency_and_with_an_agencys_roles(world: World) -> None:
    an_agency(world.api.db, "water")
    world.map_project(member="viewer")
    body = {"domain_id": "default", "roles": {"member": "viewer"}}
    taken = world.operator.put(f"/v1/agencies/water/projects/{PROJECT.id}", body)
    assert refusal(taken) == (409, "project_taken")
    body["roles"] = {"member": "operator"}
    unfit = world.operator.put("/v1/agencies/water/projects/another", body)
    assert unfit.status_code == 422
    entries = world.count(LedgerEntry)
    world.map_project(member="viewer")
    assert world.count(LedgerEntry) == entries, "nothing changed"
    world.map_project(member="owner")
    assert world.count(LedgerEntry) == entries + 1
    listed = world.operator.get("/v1/agencies/health/projects").json()["items"]
    assert [(one["project_id"], one["roles"]) for one in listed] == [
        (PROJECT.id, {"member": "owner"})
    ]


def test_the_api_says_that_either_token_will_do(api: Api) -> None:
    document = api.client.get("/v1/openapi.json").json()
    ways = document["paths"]["/v1/me"]["get"]["security"]
    assert sorted(name for way in ways for name in way) == ["HTTPBearer", "Keystone"]
    assert all(len(way) == 1 for way in ways), "not both"
    assert document["components"]["securitySchemes"]["Keystone"]["name"] == "X-Auth-Token"


def test_without_a_keystone_such_tokens_are_refused(api: Api, tmp_path: Any) -> None:
    answer = api.client.get("/v1/me", headers={"X-Auth-Token": "gAAAA"})
    assert refusal(answer) == (401, "keystone_off")
    desk = new_desk(Settings(state_dir=tmp_path, run_dir=tmp_path), api.db)
    assert desk.identity_source is None


def test_many_requests_with_one_token_are_one_question(sqlite_db: Database) -> None:
    source = MemoryIdentitySource()
    with an_api(sqlite_db, identity_source=CachedIdentitySource(source)) as api:
        an_agency(sqlite_db)
        world = World(api, source, a_person(api, Role.OPERATOR))
        world.map_project(member="viewer")
        token = source.issue("u1", PROJECT, "member")
        assert {world.ask(token).status_code for _ in range(5)} == {200}
        assert source.asked == 1
        source.is_away = True
        assert world.ask(token).status_code == 200, "as long as it is kept"
        other = source.issue("u1", PROJECT, "member")
        assert world.ask(other).status_code == 503


def test_an_answer_is_kept_for_seconds_and_never_a_refusal() -> None:
    source = MemoryIdentitySource()
    cached = CachedIdentitySource(source)
    token = source.issue("u1", PROJECT, "member")
    found = cached.verify(token)
    assert found is not None
    assert cached.verify(token) == found
    assert source.asked == 1
    source.revoke(token)
    assert cached.verify(token) is not None
    with clock.shifted(KEPT):
        assert cached.verify(token) is None
    assert timedelta(seconds=60) >= KEPT
    asked = source.asked
    assert cached.verify("unknown") is None
    assert cached.verify("unknown") is None
    assert source.asked == asked + 2


def test_an_answer_is_not_kept_beyond_the_tokens_own_end() -> None:
    source = MemoryIdentitySource()
    cached = CachedIdentitySource(source)
    with clock.shifted(timedelta(seconds=5) - timedelta(hours=1)):
        token = source.issue("u1", PROJECT, "member")
    assert cached.verify(token) is not None
    with clock.shifted(timedelta(seconds=6)):
        assert cached.verify(token) is None


def test_no_more_answers_are_kept_than_said_and_no_token_itself() -> None:
    source = MemoryIdentitySource()
    cached = CachedIdentitySource(source, most=2)
    tokens = [source.issue(f"u{number}", PROJECT, "member") for number in range(3)]
    for token in tokens:
        cached.verify(token)
    asked = source.asked
    cached.verify(tokens[2])
    assert source.asked == asked
    cached.verify(tokens[0])
    assert source.asked == asked + 1, "the oldest went"
    assert not any(token in str(cached._answers) for token in tokens)
