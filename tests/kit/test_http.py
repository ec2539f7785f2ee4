"""What every answer of the API carries, whatever went wrong."""

import re

import pytest
from starlette.testclient import TestClient

from control_plane.app import create_app
from control_plane.identity.rules import Role
from control_plane.kit.errors import Unavailable
from tests.api import Api, a_person


def test_an_unknown_path_is_a_problem_in_the_readers_language(api: Api) -> None:
    arabic = api.client.get("/nowhere")
    english = api.client.get("/nowhere", headers={"Accept-Language": "en-GB,ar;q=0.5"})
    assert arabic.status_code == english.status_code == 404
    assert arabic.json()["code"] == "route_unknown"
    assert arabic.headers["Content-Language"] == "ar"
    assert re.search(r"[\u0600-\u06ff]", arabic.json()["title"])
    assert english.json()["title"] == "There is nothing at this address"


def test_a_wrong_method_says_which_are_right(api: Api) -> None:
    answer = api.client.put("/v1/me")
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["Allow"] == "GET"


def test_a_wrong_document_says_where_and_why(api: Api) -> None:
    operator = a_person(api, Role.OPERATOR)
    answer = operator.post("/v1/agencies", {"slug": "UPPER", "name_ar": "جهة"})
    assert answer.status_code == 422
    assert {error["where"] for error in answer.json()["facts"]["errors"]} == {
        "body.slug",
        "body.name_en",
    }


def test_what_is_not_json_is_refused(api: Api) -> None:
    operator = a_person(api, Role.OPERATOR)
    json = {"Content-Type": "application/json"}
    answer = operator.request("POST", "/v1/agencies", content=b"{", headers=json)
    assert answer.status_code == 422
    assert answer.json()["code"] == "payload_invalid"


def test_a_document_of_two_megabytes_is_too_large(api: Api) -> None:
    answer = api.client.post("/v1/login", content=b"x" * (2 << 20))
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


def test_a_request_keeps_the_id_it_brought_if_that_is_harmless(api: Api) -> None:
    kept = api.client.get("/livez", headers={"X-Request-Id": "trace-0123456789"})
    made = api.client.get("/livez", headers={"X-Request-Id": 'x" onload="'})
    assert kept.headers["X-Request-Id"] == "trace-0123456789"
    assert made.headers["X-Request-Id"].startswith("web_")


def test_every_answer_forbids_what_a_document_could_do_in_a_browser(api: Api) -> None:
    for path in ("/livez", "/nowhere", "/v1/me"):
        headers = api.client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cache-Control"] == "no-store"


def test_what_nobody_foresaw_is_answered_with_a_number_and_logged_without_values(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    app = create_app(api.desk)

    @app.get("/crash")
    def crash() -> None:
        msg = "nobody foresaw"
        raise LookupError(msg)

    with TestClient(app) as client:
        answer = client.get("/crash", headers={"Accept-Language": "en"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] in answer.json()["mend"]
    assert "nobody foresaw" not in answer.text
    assert "request_crashed" in "".join(capfd.readouterr())


def test_what_is_away_for_a_moment_says_when_to_come_back(api: Api) -> None:
    app = create_app(api.desk)

    @app.get("/away")
    def away() -> None:
        raise Unavailable("database_unavailable")

    with TestClient(app) as client:
        answer = client.get("/away")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["code"] == "temporarily_unavailable"


def test_figures_know_routes_by_their_template(api: Api) -> None:
    a_person(api, Role.OPERATOR).get("/v1/agencies/some-secret-name")
    api.client.get("/v1/never/seen")
    operator = a_person(api, Role.OPERATOR)
    text = operator.get("/metrics").text
    assert 'route="/v1/agencies/{slug}"' in text
    assert "some-secret-name" not in text
    assert "/v1/never" not in text
