"""What does not answer is asked only now and then; one answer, and it is asked as before."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.breaker import FAILURES, FIRST_PAUSE_S, Away, Breaker
from control_plane.ports.cloud.openstack.sdk import Api
from tests.ports import free_port
from tests.waiting import wait_until


class Refusing(BaseHTTPRequestHandler):
    """A keystone that is there, and lets nobody in."""

    asked = 0

    def do_GET(self) -> None:
        self._answer(300, {"versions": {"values": []}})

    def do_POST(self) -> None:
        type(self).asked += 1
        self._answer(401, {"error": {"message": "no"}})

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def api(port: int, tmp_path: Path) -> Api:
    auth = {
        "auth_url": f"http://127.0.0.1:{port}/v3",
        "username": "edubba",
        "password": "secret",
        "user_domain_id": "default",
        "domain_id": "default",
    }
    file = tmp_path / "clouds.yaml"
    file.write_text(json.dumps({"clouds": {"far": {"auth": auth}}}))
    return Api(file, "far")


@pytest.fixture
def keystone(port: int) -> Iterator[None]:
    Refusing.asked = 0
    with HTTPServer(("127.0.0.1", port), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def _ask(api: Api) -> None:
    api.service("compute", "a-project").get("/servers")


def _fail(api: Api) -> None:
    for _ in range(FAILURES):
        with pytest.raises(Away):
            _ask(api)


def test_a_cloud_that_was_away_is_asked_again_by_itself(
    api: Api, request: pytest.FixtureRequest
) -> None:
    _fail(api)
    request.getfixturevalue("keystone")
    began = monotonic()
    with pytest.raises(Away):
        _ask(api)
    assert Refusing.asked == 0  # it was not asked at all
    with pytest.raises(Refused):
        wait_until(lambda: _is_asked(api))
    assert monotonic() - began > FIRST_PAUSE_S * 0.9
    with pytest.raises(Refused):
        _ask(api)  # at once


def _is_asked(api: Api) -> bool:
    try:
        _ask(api)
    except Away:
        return False
    return True


def test_a_cloud_that_refuses_is_there(api: Api, keystone: None) -> None:
    for _ in range(FAILURES + 2):
        with pytest.raises(Refused):
            _ask(api)


def _ask_beside(breaker: Breaker) -> None:
    with pytest.raises(Away), breaker.asking():
        raise AssertionError("a second one is asked beside the first")
    raise Away("cloud_not_answering", why="no route")


def test_one_question_at_a_time_tries_whether_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker, now = Breaker(), [1000.0]
    monkeypatch.setattr("control_plane.ports.cloud.breaker.time.monotonic", lambda: now[0])
    for _ in range(FAILURES):
        with pytest.raises(Away), breaker.asking():
            raise Away("cloud_not_answering", why="no route")
    now[0] += FIRST_PAUSE_S + 0.1
    with pytest.raises(Away), breaker.asking():
        _ask_beside(breaker)
    now[0] += FIRST_PAUSE_S + 0.1
    with pytest.raises(Away), breaker.asking():
        raise AssertionError("the pause grows")
    now[0] += FIRST_PAUSE_S
    with pytest.raises(Unavailable), breaker.asking():
        raise Unavailable("cloud_busy")
    assert not breaker.is_open
