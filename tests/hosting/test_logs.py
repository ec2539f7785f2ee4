"""What an application writes is read by its agency from a bounded store: on both databases."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, func, select

from control_plane.engine import lives
from control_plane.hosting import actions as hostings
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.cleaning import CUT, HIDDEN
from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.logs import actions as logs
from control_plane.logs.models import LogLine, LogStore
from control_plane.logs.queries import Wanted, list_lines
from control_plane.logs.rules import KEPT_BYTES, KEPT_FOR, PAUSE
from control_plane.ports.cloud.memory import Server
from control_plane.ports.cloud.port import CheckResult
from tests.api import User, a_person, an_agency
from tests.centre import Centre
from tests.world import a_hosting_row, takes_settings

SECRET = "hunter2-hunter2"


def say(centre: Centre, hosting_id: str, *texts: str, service: str = "app") -> None:
    """Let a service of the hosting write lines."""

    def write(server: Server) -> None:
        server.logs.setdefault(service, []).extend((clock.now(), text) for text in texts)

    centre.cloud.sabotage(hosting_id, write)


def page_of(reader: User, hosting_id: str, query: str = "") -> dict[str, Any]:
    answer = reader.get(f"/v1/hostings/{hosting_id}/logs{query}")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def texts_of(centre: Centre, hosting_id: str, query: str = "") -> list[str]:
    """Return what the owner reads, the oldest first."""
    items = page_of(centre.owner, hosting_id, query)["items"]
    return [line["text"] for line in sorted(items, key=lambda line: int(line["number"]))]


def ask(reader: User, hosting_id: str) -> dict[str, Any]:
    answer = reader.post(f"/v1/hostings/{hosting_id}/logs/collections")
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_an_owner_reads_what_the_services_wrote_with_time_and_service(centre: Centre) -> None:
    hosting = centre.active()
    say(centre, hosting.id, "مرحبا", "second")
    say(centre, hosting.id, "a query", service="postgresql")
    centre.live_on(40)

    page = page_of(centre.owner, hosting.id)
    said = [(line["service"], line["text"]) for line in reversed(page["items"])]
    assert said == [("app", "مرحبا"), ("app", "second"), ("postgresql", "a query")]
    assert page["collected_at"] is not None
    assert texts_of(centre, hosting.id, "?service=postgresql") == ["a query"]
    centre.live_on(90)
    assert len(page_of(centre.owner, hosting.id)["items"]) == 3  # each once


def test_what_a_release_that_was_refused_said_is_read_later(centre: Centre) -> None:
    hosting = centre.active()
    deployment = centre.deploy(hosting.id, lost_html=b"no index")
    say(centre, hosting.id, "ModuleNotFoundError: No module named 'ur'")
    centre.settle(timedelta(seconds=1))

    assert centre.deployment(deployment)["status"] == "failed"
    assert texts_of(centre, hosting.id) == ["ModuleNotFoundError: No module named 'ur'"]


def test_a_migration_that_takes_long_is_heard_while_it_runs(centre: Centre) -> None:
    hosting = centre.active()

    def prepare(server: Server) -> None:
        server.is_preparing = True

    centre.cloud.sabotage(hosting.id, prepare)
    centre.deploy(hosting.id, index_html=b"new")
    centre.settle(timedelta(seconds=20), rounds=10)
    say(centre, hosting.id, "Applying 0002_more", service="prepare")
    centre.settle(timedelta(seconds=60), rounds=4)
    assert texts_of(centre, hosting.id) == ["Applying 0002_more"]


def test_whoever_asks_has_it_at_once_and_the_look_goes_on_at_its_time(centre: Centre) -> None:
    hosting = centre.active()
    with clock.shifted(timedelta(seconds=20)):
        looked_at = centre.read(hosting.id).observed_at
        say(centre, hosting.id, "fresh")
        assert ask(centre.owner, hosting.id)["is_under_way"]
        centre.settle()
        assert texts_of(centre, hosting.id) == ["fresh"]
        told = ask(centre.owner, hosting.id)
    assert not told["is_under_way"]
    assert centre.read(hosting.id).observed_at == looked_at  # nothing else was looked at
    centre.live_on(90)
    after = centre.read(hosting.id).observed_at
    assert after is not None
    assert looked_at is not None
    assert after > looked_at


def test_many_who_ask_wake_the_life_once(centre: Centre) -> None:
    hosting = centre.active()

    def signals() -> int:
        with centre.api.db.read() as session:
            life = lives.find_life(session, LIFE.kind, hosting.id)
        assert life is not None
        return life.signals

    with clock.shifted(timedelta(minutes=1)):
        before = signals()
        for _ in range(5):
            ask(centre.owner, hosting.id)
        assert signals() == before + 1
        centre.settle()
        ask(centre.owner, hosting.id)
        assert signals() == before + 1
    with clock.shifted(timedelta(minutes=1) + PAUSE):
        ask(centre.owner, hosting.id)
        assert signals() == before + 2


def test_logs_that_cannot_be_read_stop_nothing_and_come_later(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosting = centre.active()
    say(centre, hosting.id, "patience")

    def refuse(*_asked: object) -> None:
        raise Unavailable("receiver_failed", why="{broken")

    with monkeypatch.context() as broken:
        broken.setattr(centre.cloud, "read_logs", refuse)
        centre.live_on(60)
        assert texts_of(centre, hosting.id) == []
        seen = centre.read(hosting.id)
        assert (seen.status, seen.drift) == (HostingStatus.ACTIVE, None)
        assert seen.observed_at is not None
        assert seen.observed_at > clock.now() + timedelta(seconds=20)
    centre.live_on(100)
    assert texts_of(centre, hosting.id) == ["patience"]


def have_a_secret(centre: Centre, hosting_id: str) -> None:
    takes_settings(centre.api.db, hosting_id)
    with centre.api.db.begin() as session:
        hostings.publish_recipient(session, centre.engine._ports.keyring.recipient())
    path = f"/v1/hostings/{hosting_id}/settings"
    kept = centre.owner.request("PATCH", path, json={"secrets": {"KEY": SECRET}})
    assert kept.status_code == 200, kept.text
    centre.live_on(60)


def test_what_a_tenant_writes_moves_no_terminal_and_shows_no_secret(centre: Centre) -> None:
    hosting = centre.active()
    have_a_secret(centre, hosting.id)
    say(centre, hosting.id, "\x1b]0;owned\x07\x1b[31mred\x1b[0m \u202egnp", f"key={SECRET}!")
    say(centre, hosting.id, "x" * (4096 - len(SECRET) // 2) + SECRET)
    centre.live_on(100)
    shown = texts_of(centre, hosting.id)
    assert shown[:2] == ["red gnp", f"key={HIDDEN}!"]
    assert (shown[2][-len(CUT) :], "hunt" in shown[2]) == (CUT, False)
    with centre.api.db.read() as session:
        assert not [one for one in session.exec(select(LogLine.text)).all() if "hunter" in one]


def test_what_a_refused_release_printed_is_shown_without_secrets(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosting = centre.active()
    have_a_secret(centre, hosting.id)
    output = f"\x1b[2Jcan't log in with {SECRET}"
    with monkeypatch.context() as failing:
        refused = CheckResult(passed=False, output=output)
        failing.setattr(centre.cloud, "check_release", lambda *_asked: refused)
        deployment = centre.deploy(hosting.id, index_html=b"new")
        centre.live_on(90)
    outcome = centre.deployment(deployment)["outcome"]
    assert outcome["output"] == f"can't log in with {HIDDEN}"


def lines_of(session: Session, hosting_id: str) -> Sequence[LogLine]:
    query = select(LogLine).where(col(LogLine.hosting_id) == hosting_id)
    return session.exec(query.order_by(col(LogLine.number))).all()


def pour(centre: Centre, hosting_id: str, agency_id: str, text: str, times: int) -> None:
    lines = [logs.NewLine("app", clock.now(), f"{number} {text}") for number in range(times)]
    with centre.api.db.begin() as session:
        logs.keep(session, logs.Collected(hosting_id, agency_id, lines))


@pytest.mark.parametrize(("text", "times"), [("ن" * 2000, 400), ("", 20_000)])
def test_however_much_is_written_the_store_stays_within_its_bound(
    centre: Centre, text: str, times: int
) -> None:
    hosting = a_hosting_row(centre.api.db, an_agency(centre.api.db, "noisy"))
    pour(centre, hosting.id, hosting.agency_id, "the oldest", 3)
    for _ in range(2):
        pour(centre, hosting.id, hosting.agency_id, text, times)
    with centre.api.db.read() as session:
        kept = lines_of(session, hosting.id)
        assert sum(len(line.text.encode()) for line in kept) <= KEPT_BYTES
        assert 0.9 * KEPT_BYTES < sum(line.size for line in kept) <= KEPT_BYTES
        store = session.get_one(LogStore, hosting.id)
        assert store.size == sum(line.size for line in kept)
    assert kept[-1].text == f"{times - 1} {text}"
    numbers = [line.number for line in kept]
    assert numbers == list(range(numbers[0], 3 + 2 * times + 1))


def test_lines_are_forgotten_when_they_are_old_and_all_of_them_with_the_hosting(
    centre: Centre,
) -> None:
    hosting = centre.active()
    say(centre, hosting.id, "old")
    centre.live_on(40)
    with clock.shifted(KEPT_FOR + timedelta(minutes=1)):
        with centre.api.db.read() as session:  # where nobody has looked yet, it is not shown either
            assert list_lines(session, Wanted(hosting.id), None, 9).items == []
            assert len(lines_of(session, hosting.id)) == 1
        say(centre, hosting.id, "new")
        centre.settle()
    with centre.api.db.read() as session:
        assert [line.text for line in lines_of(session, hosting.id)] == ["new"]
    with centre.api.db.begin() as session:
        lives.request_ending(session, LIFE.kind, hosting.id)
    for days in (15, 47, 48, 49):
        centre.settle(timedelta(days=days))
    assert centre.read(hosting.id).status == HostingStatus.PURGED
    with centre.api.db.read() as session:
        count = select(func.count()).select_from(LogLine)
        assert session.exec(count).one() == 0
        assert session.get(LogStore, hosting.id) is None


def test_pages_go_back_to_the_oldest_and_a_follower_goes_on_where_it_was(centre: Centre) -> None:
    hosting = centre.active()
    say(centre, hosting.id, *map(str, range(7)))
    centre.live_on(40)
    found: list[str] = []
    cursor = None
    while True:
        page = page_of(
            centre.owner, hosting.id, f"?limit=3&cursor={cursor}" if cursor else "?limit=3"
        )
        found += [line["text"] for line in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == list("6543210")
    third = page_of(centre.owner, hosting.id)["items"][4]["number"]
    after = page_of(centre.owner, hosting.id, f"?after={third}&limit=2")["items"]
    assert [line["text"] for line in after] == ["3", "4"]
    wrong = centre.owner.get(f"/v1/hostings/{hosting.id}/logs?cursor=bm9uZQ")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "cursor_invalid")


def test_of_a_burst_the_owner_reads_the_newest_and_how_much_is_missing(centre: Centre) -> None:
    hosting = centre.active()
    say(centre, hosting.id, *(f"{number:09}" for number in range(100_000)))
    centre.live_on(40)
    page = page_of(centre.owner, hosting.id, "?limit=200")
    assert page["items"][0]["text"] == "000099999"
    with centre.api.db.read() as session:
        first, second, *_ = lines_of(session, hosting.id)
    assert (first.text, second.text > "000090000") == ("", True)
    assert first.lost > 3_000_000


def test_a_line_from_the_future_has_the_time_at_which_it_came(centre: Centre) -> None:
    hosting = centre.active()

    def write(server: Server) -> None:
        server.logs["app"] = [(clock.now() + timedelta(days=400), "tomorrow's")]

    centre.cloud.sabotage(hosting.id, write)
    centre.live_on(40)
    [line] = page_of(centre.owner, hosting.id)["items"]
    assert line["at"] < (clock.now() + timedelta(days=1)).isoformat()


def test_only_those_who_answer_for_an_application_read_what_it_says(centre: Centre) -> None:
    hosting = centre.active()
    agency = centre.owner.actor.agency_roles
    assert hosting.agency_id in agency
    other = an_agency(centre.api.db, "other")
    foreign = a_person(centre.api, Role.OWNER, other)
    auditor = a_person(centre.api, Role.AUDITOR)
    for path in ("logs", "logs/collections"):
        for reader, status in ((foreign, 404), (auditor, 403), (centre.operator, 403)):
            method = "POST" if path.endswith("s/collections") else "GET"
            answer = reader.request(method, f"/v1/hostings/{hosting.id}/{path}")
            assert answer.status_code == status, answer.text
    assert centre.owner.get(f"/v1/hostings/{new_id('hst')}/logs").status_code == 404
