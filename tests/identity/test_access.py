"""What every route does with who comes and how."""

from control_plane.identity.rules import Role
from tests.api import Api, a_person, an_agency


def test_who_logs_in_is_known_by_their_roles(api: Api) -> None:
    agency = an_agency(api.db)
    owner = a_person(api, Role.OWNER, agency)
    me = owner.get("/v1/me").json()
    assert me["agencies"][0]["slug"] == "health"
    assert me["agencies"][0]["roles"] == ["owner"]


def test_without_a_token_one_is_asked_to_log_in(api: Api) -> None:
    answer = api.client.get("/v1/me")
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_foreign_agency_looks_absent(api: Api) -> None:
    owner = a_person(api, Role.OWNER, an_agency(api.db, "health"))
    an_agency(api.db, "water")
    foreign, absent = owner.get("/v1/agencies/water"), owner.get("/v1/agencies/nowhere")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json()["code"] == absent.json()["code"] == "not_found"
