"""A token is never wider, nor longer, than whoever made it."""

from datetime import timedelta

from control_plane.identity.actions import TokenWish, grant_role
from control_plane.identity.models import Token
from control_plane.identity.rules import Permission, Role
from tests.api import Api, a_person, an_agency, as_user


def test_a_token_is_shown_once_and_kept_only_as_a_hash(api: Api) -> None:
    user = a_person(api, Role.OPERATOR)
    made = user.post("/v1/tokens", {"name": "pipeline"}).json()
    with api.db.read() as session:
        kept = session.get_one(Token, made["id"])
        assert made["secret"] not in str(kept.model_dump())
    listed = user.get("/v1/tokens").json()["items"]
    assert [token["secret"] for token in listed] == [None, None]


def test_a_replay_does_not_tell_the_secret_again(api: Api) -> None:
    user = a_person(api, Role.OPERATOR)
    key = {"Idempotency-Key": "made-once"}
    first = user.post("/v1/tokens", {"name": "pipeline"}, headers=key)
    again = user.post("/v1/tokens", {"name": "pipeline"}, headers=key)
    assert first.json()["secret"].startswith("edb_")
    assert again.json() == {**first.json(), "secret": None}
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]


def test_nobody_gives_a_token_what_they_have_not(api: Api) -> None:
    viewer = a_person(api, Role.VIEWER, an_agency(api.db))
    answer = viewer.post("/v1/tokens", {"name": "x", "scopes": ["release:write"]})
    assert answer.status_code == 403
    assert answer.json()["code"] == "scope_too_wide"
    assert answer.json()["facts"] == {"scope": "release:write"}


def test_a_scoped_token_can_do_no_more_than_its_scopes(api: Api) -> None:
    owner = a_person(api, Role.OWNER, an_agency(api.db))
    wish = TokenWish("read", timedelta(days=1), frozenset({Permission.AGENCY_READ}))
    narrow = as_user(api, owner.person, wish)
    assert narrow.get("/v1/agencies/health").status_code == 200
    assert narrow.get("/v1/me").status_code == 403
    assert narrow.post("/v1/tokens", {"name": "x"}).status_code == 403


def test_a_token_of_one_agency_sees_no_other(api: Api) -> None:
    health, water = an_agency(api.db, "health"), an_agency(api.db, "water")
    owner = a_person(api, Role.OWNER, health)
    with api.db.begin() as session:
        grant_role(session, "system", owner.person.id, Role.OWNER, water.id)
    bound = as_user(
        api, owner.person, TokenWish("health only", timedelta(days=1), agency_id=health.id)
    )
    assert bound.get("/v1/agencies/health").status_code == 200
    assert bound.get("/v1/agencies/water").status_code == 404
    wider = bound.post("/v1/tokens", {"name": "x", "expires_in_days": 1})
    assert wider.status_code == 403


def test_a_token_lasts_no_longer_than_the_one_that_made_it(api: Api) -> None:
    operator = a_person(api, Role.OPERATOR)
    short = as_user(api, operator.person, TokenWish("a week", timedelta(days=7)))
    assert short.post("/v1/tokens", {"name": "x", "expires_in_days": 8}).status_code == 409
    assert short.post("/v1/tokens", {"name": "x", "expires_in_days": 6}).status_code == 201
    assert operator.post("/v1/tokens", {"name": "x", "expires_in_days": 366}).status_code == 422


def test_a_revoked_token_is_worth_nothing_and_others_cannot_revoke_it(api: Api) -> None:
    operator, other = a_person(api, Role.OPERATOR), a_person(api, Role.OPERATOR)
    token = operator.actor.token_id
    assert other.delete(f"/v1/tokens/{token}").status_code == 404
    assert operator.delete(f"/v1/tokens/{token}").status_code == 204
    assert operator.get("/v1/me").status_code == 401


def test_a_role_taken_away_is_gone_at_the_next_request(api: Api) -> None:
    agency = an_agency(api.db)
    owner, viewer = a_person(api, Role.OWNER, agency), a_person(api, Role.VIEWER, agency)
    assert viewer.get("/v1/agencies/health").status_code == 200
    gone = owner.delete(f"/v1/agencies/health/members/{viewer.person.id}/viewer")
    assert gone.status_code == 204
    assert viewer.get("/v1/agencies/health").status_code in {403, 404}


def test_the_last_owner_stays(api: Api) -> None:
    owner = a_person(api, Role.OWNER, an_agency(api.db))
    answer = owner.delete(f"/v1/agencies/health/members/{owner.person.id}/owner")
    assert answer.status_code == 409
    assert answer.json()["code"] == "last_holder"
