"""The story of a hosting, told while it happens, to as many as there is room for."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest

from control_plane.app import create_app
from control_plane.engine.lives import add_event
from control_plane.hosting.models import Hosting
from control_plane.identity.rules import Role
from control_plane.kit import feed
from control_plane.operations.api import events
from tests.api import Api, User, a_person, an_agency
from tests.serving import served
from tests.world import a_hosting_row, a_request_row, life_of


@pytest.fixture
def hosting(api: Api) -> Hosting:
    return a_hosting_row(api.db, an_agency(api.db))


@pytest.fixture
def reader(api: Api, hosting: Hosting) -> User:
    return a_person(api, Role.AUDITOR)


def _happens(api: Api, hosting: Hosting, event: str) -> None:
    life = life_of(api.db, hosting)
    with api.db.begin() as session:
        add_event(session, life.id, "build", event, {"n": 1})


def _read(stream: Iterator[str], count: int) -> list[dict[str, object]]:
    found = []
    for line in stream:
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
        if len(found) == count:
            break
    return found


class Opener:
    """Opens streams of one hosting and closes what is still open at the end."""

    def __init__(self, reader: User, hosting: Hosting, opened: ExitStack) -> None:
        self._secret, self._hosting, self._opened = reader.secret, hosting, opened

    def __call__(self, url: str, last_id: str | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._secret}"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        client = self._opened.enter_context(httpx2.Client(timeout=20))
        path = f"{url}/v1/hostings/{self._hosting.id}/events"
        answer = client.send(client.build_request("GET", path, headers=headers), stream=True)
        self._opened.callback(answer.close)
        return answer


@pytest.fixture
def opener(reader: User, hosting: Hosting) -> Iterator[Opener]:
    with ExitStack() as opened:
        yield Opener(reader, hosting, opened)


def test_the_list_has_everything_or_what_came_behind_an_event(
    api: Api, hosting: Hosting, reader: User
) -> None:
    _happens(api, hosting, "server_built")
    path = f"/v1/hostings/{hosting.id}/events?format=json"
    items = reader.get(path).json()["items"]
    assert [item["event"] for item in items] == ["life_began", "server_built"]
    later = reader.get(path, headers={"Last-Event-ID": items[0]["id"]}).json()["items"]
    assert [item["event"] for item in later] == ["server_built"]


def test_a_request_tells_the_story_of_its_hosting(api: Api, hosting: Hosting, reader: User) -> None:
    agency = an_agency(api.db, "water")
    request = a_request_row(api.db, agency)
    items = reader.get(f"/v1/requests/{request.id}/events?format=json").json()["items"]
    assert [item["event"] for item in items] == ["life_began"]


def test_a_stream_begins_with_what_was_and_goes_on_with_what_comes(
    api: Api, hosting: Hosting, opener: Opener
) -> None:
    with served(create_app(api.desk)) as url:
        answer = opener(url)
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert [event["event"] for event in _read(lines, 1)] == ["life_began"]
        for name in ("server_built", "site_served"):
            _happens(api, hosting, name)
        came = _read(lines, 2)
        assert [event["event"] for event in came] == ["server_built", "site_served"]
        resumed = opener(url, str(came[0]["id"]))
        assert [event["event"] for event in _read(resumed.iter_lines(), 1)] == ["site_served"]


def test_fifty_readers_each_get_everything_once(api: Api, hosting: Hosting, opener: Opener) -> None:
    with served(create_app(api.desk)) as url, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: opener(url), range(50)))
        for number in range(5):
            _happens(api, hosting, f"event_{number}")
        stories = pool.map(lambda answer: _read(answer.iter_lines(), 6), answers)
        for story in stories:
            names = [event["event"] for event in story]
            assert names == ["life_began", *(f"event_{n}" for n in range(5))]


def test_a_quiet_stream_shows_that_it_lives(
    api: Api, hosting: Hosting, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    with served(create_app(api.desk)) as url:
        answer = opener(url)
        assert any(line.startswith(": still here") for line in answer.iter_lines())


def test_one_stream_too_many_is_told_when_to_come_back(
    api: Api, hosting: Hosting, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed.Feed.__init__, "__kwdefaults__", {"every_s": 0.1, "max_streams": 1})
    with served(create_app(api.desk)) as url:
        first = opener(url)
        lines = first.iter_lines()  # kept, or it would close the stream
        _read(lines, 1)
        second = opener(url)
        assert second.status_code == 503
        second.read()
        assert second.json()["code"] == "too_many_streams"
        assert second.headers["Retry-After"] == "10"


def test_streams_do_not_keep_the_process_from_stopping(
    api: Api, hosting: Hosting, opener: Opener
) -> None:
    with served(create_app(api.desk)) as url:
        answer = opener(url)
        lines = answer.iter_lines()
        _read(lines, 1)
    assert list(lines)[-1:] == [""]  # ended, not cut
