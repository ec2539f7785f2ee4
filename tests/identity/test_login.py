"""Logging in and out, and what is never told."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from control_plane.identity import actions
from control_plane.identity.rules import ExampleRefused, Role
from control_plane.kit import clock, passwords
from control_plane.ledger.rules import SYSTEM
from tests.api import Api, a_person

SECRET = "canary-6d1f-correct-horse"


@pytest.fixture
def known(api: Api) -> str:
    """Give the address of somebody with the password SECRET."""
    with api.db.begin() as session:
        stored = passwords.hash_password(SECRET)
        new = actions.NewPerson("Noor@Health.example.iq", "Noor", "en", stored)
        person = actions.create_person(session, SYSTEM, new)
        actions.grant_role(session, SYSTEM, person.id, Role.OPERATOR, None)
    return "noor@health.example.iq"


def _login(api: Api, email: str, password: str) -> tuple[int, dict[str, object]]:
    answer = api.client.post("/v1/login", json={"email": email, "password": password})
    return answer.status_code, answer.json()


def test_the_right_password_gives_a_token_that_works(api: Api, known: str) -> None:
    status, body = _login(api, known.upper(), SECRET)
    assert status == 200
    bearer = {"Authorization": f"Bearer {body['token']}"}
    assert api.client.get("/v1/me", headers=bearer).json()["email"] == known


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(api: Api, known: str) -> None:
    wrong, unknown = _login(api, known, "wrong"), _login(api, "nobody@example.iq", "wrong")
    assert wrong[0] == unknown[0] == 401
    assert {**wrong[1], "request_id": ""} == {**unknown[1], "request_id": ""}


def test_somebody_disabled_cannot_log_in_nor_use_a_token(api: Api, known: str) -> None:
    _, body = _login(api, known, SECRET)
    with api.db.begin() as session:
        person = body["person"]
        assert isinstance(person, dict)
        actions.disable_person(session, SYSTEM, person["id"])
    bearer = {"Authorization": f"Bearer {body['token']}"}
    assert api.client.get("/v1/me", headers=bearer).status_code == 401
    assert _login(api, known, SECRET)[0] == 401


def test_after_logging_out_the_token_is_worth_nothing(api: Api) -> None:
    user = a_person(api, Role.AUDITOR)
    assert user.post("/v1/logout").status_code == 204
    assert user.get("/v1/me").status_code == 401


def test_an_expired_token_is_worth_nothing(api: Api) -> None:
    user = a_person(api, Role.AUDITOR)
    with clock.shifted(timedelta(hours=13)), api.db.read() as session:
        assert actions.find_actor(session, user.secret) is None


def test_ten_wrong_tries_close_the_door_for_a_while_and_say_for_how_long(api: Api) -> None:
    for _ in range(10):
        assert _login(api, "guessed@example.iq", "wrong")[0] == 401
    answer = api.client.post("/v1/login", json={"email": "guessed@example.iq", "password": "x"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 300


def test_a_new_password_ends_the_sessions_of_the_old_one(api: Api, known: str) -> None:
    _, body = _login(api, known, SECRET)
    person = body["person"]
    assert isinstance(person, dict)
    with api.db.begin() as session:
        actions.set_password(session, SYSTEM, person["id"], passwords.hash_password("other"))
    bearer = {"Authorization": f"Bearer {body['token']}"}
    assert api.client.get("/v1/me", headers=bearer).status_code == 401


def test_no_secret_reaches_the_log(sqlite_template: Path, tmp_path: Path) -> None:
    database, secrets = tmp_path / "edubba.db", tmp_path / "secrets"
    shutil.copy(sqlite_template, database)
    command = [sys.executable, "-m", "tests.identity.canary", str(database), str(secrets)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    written = ran.stdout + ran.stderr
    assert "request_answered" in written
    assert "request_crashed" in written
    for secret in secrets.read_text().split():
        assert secret not in written


def test_a_refused_document_is_not_repeated_in_the_answer(api: Api) -> None:
    answer = api.client.post("/v1/login", json={"email": "x", "password": {"a": SECRET}})
    assert answer.status_code == 422
    assert SECRET not in answer.text


def test_example_accounts_exist_on_zones_of_this_machine_only(api: Api) -> None:
    new = actions.NewPerson("example@example.iq", "Example")
    with api.db.begin() as session, pytest.raises(ExampleRefused):
        actions.ensure_example_person(session, new, {None: Role.OPERATOR}, is_loopback_zone=False)
    with api.db.begin() as session:
        made = actions.ensure_example_person(
            session, new, {None: Role.OPERATOR}, is_loopback_zone=True
        )
        again = actions.ensure_example_person(
            session, new, {None: Role.OPERATOR}, is_loopback_zone=True
        )
    assert made.id == again.id
