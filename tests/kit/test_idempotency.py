"""A POST that is sent twice happens once, on both databases, also at the same moment."""

from concurrent.futures import ThreadPoolExecutor

from sqlmodel import func, select

from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.kit.idempotency import IdempotentAnswer
from control_plane.tenancy.models import Agency
from tests.api import Api, User, a_person, an_api

AGENCY = {"slug": "health", "name_ar": "وزارة الصحة", "name_en": "Ministry of Health"}


def _create(user: User, key: str, **changes: str) -> tuple[int, dict[str, object], bool]:
    answer = user.post("/v1/agencies", {**AGENCY, **changes}, headers={"Idempotency-Key": key})
    return answer.status_code, answer.json(), "Idempotency-Replayed" in answer.headers


def test_the_same_key_and_body_get_the_same_answer(api: Api) -> None:
    user = a_person(api, Role.OPERATOR)
    first, again = _create(user, "k1"), _create(user, "k1")
    assert first[0] == again[0] == 201
    assert first[1] == again[1]
    assert (first[2], again[2]) == (False, True)


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    user = a_person(api, Role.OPERATOR)
    _create(user, "k1")
    status, body, _ = _create(user, "k1", slug="water")
    assert status == 422
    assert body["code"] == "idempotency_key_reused"


def test_without_a_key_nothing_happens(api: Api) -> None:
    user = a_person(api, Role.OPERATOR)
    for key in ("", "x" * 201):
        status, body, _ = _create(user, key)
        assert status == 400
        assert body["code"] == "idempotency_key_missing"
    with api.db.read() as session:
        assert session.exec(select(func.count()).select_from(Agency)).one() == 0


def test_two_people_may_use_the_same_key(api: Api) -> None:
    one, other = a_person(api, Role.OPERATOR), a_person(api, Role.OPERATOR)
    assert _create(one, "k1")[0] == 201
    assert _create(other, "k1", slug="water")[0] == 201


def test_what_failed_is_not_kept_so_that_it_can_be_tried_again(api: Api) -> None:
    user = a_person(api, Role.OPERATOR)
    _create(user, "k1")
    assert _create(user, "k2")[0] == 409
    with api.db.read() as session:
        assert session.get(IdempotentAnswer, (user.person.id, "k2")) is None


def test_sixteen_at_the_same_moment_make_one(db: Database) -> None:
    with an_api(db) as api, ThreadPoolExecutor(16) as pool:
        user = a_person(api, Role.OPERATOR)
        answers = list(pool.map(lambda _: _create(user, "k1"), range(16)))
    assert {answer[0] for answer in answers} == {201}
    assert len({str(answer[1]) for answer in answers}) == 1
    assert sum(not answer[2] for answer in answers) == 1
