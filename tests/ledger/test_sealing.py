"""Entries get their places once, in order, under crashes and several workers, on both databases."""

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session, select

from control_plane.engine import lives
from control_plane.engine.engine import LEASE
from control_plane.engine.models import LifeState, TimelineEvent
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.kit.errors import Unavailable
from control_plane.ledger import actions, queries, steps
from control_plane.ledger.exports import receipt
from control_plane.ledger.leaf import PayloadInvalid
from control_plane.ledger.models import LedgerCheckpoint, LedgerEntry
from control_plane.ledger.note import NoteInvalid, parse_checkpoint
from control_plane.ledger.queries import EntryFilter
from control_plane.ledger.rules import BIRTH, LOG_ID
from control_plane.ledger.verifier import verify
from tests.ledger.conftest import Ledger, SigningKeyring


class Crash(BaseException):
    """The process dies here: nothing in it may catch this."""


def assert_whole(ledger: Ledger, expected: int) -> None:
    """All entries placed once and in the export; one root a size was ever signed."""
    report = verify(ledger.export(), ledger.vkey, ledger.newest())
    assert report.is_whole, report.findings
    assert report.entries == expected
    with ledger.db.read() as session:
        assert queries.count_unsequenced(session) == 0
        assert queries.find_unsigned_checkpoint(session) is None
        indexes = session.exec(select(LedgerEntry.leaf_index)).all()
    assert sorted(index for index in indexes if index is not None) == list(range(expected))
    signed = {parse_checkpoint(body.decode()) for body in ledger.keyring.signed}
    assert max(Counter(checkpoint.size for checkpoint in signed).values()) == 1


def test_an_entry_is_written_with_its_action_or_not_at_all(ledger: Ledger) -> None:
    def act_and_die() -> None:
        with ledger.db.begin() as session:
            ledger.append_in(session)
            raise Crash

    with pytest.raises(Crash):
        act_and_die()
    kept = ledger.append(1)
    ledger.seal()
    with ledger.db.read() as session:
        assert [e.id for e in queries.list_entries(session, EntryFilter())] == kept


def test_entries_are_sealed_in_the_order_they_were_written(ledger: Ledger) -> None:
    written = ledger.append(40) + ledger.append(3)
    ledger.seal()
    with ledger.db.read() as session:
        sealed = queries.list_entries(session, EntryFilter(), limit=100)
    assert [entry.id for entry in sealed] == written
    assert_whole(ledger, 43)


def test_a_batch_takes_one_signature(ledger: Ledger) -> None:
    ledger.append(25)
    ledger.seal()
    assert len(ledger.keyring.signed) == 1
    ledger.append(1)
    ledger.seal()
    assert len(ledger.keyring.signed) == 2
    assert_whole(ledger, 26)


def test_a_life_at_rest_signs_and_tells_nothing(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append(1)
        ledger.seal()
        ledger.seal()
    assert len(ledger.keyring.signed) == 3
    with ledger.db.read() as session:
        assert session.exec(select(TimelineEvent)).all() == []


def test_more_entries_than_a_batch_holds_are_all_sealed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 7)
    ledger.append(50)
    ledger.seal()
    assert len(ledger.keyring.signed) == 8
    assert_whole(ledger, 50)


def test_an_entry_that_commits_late_comes_later_in_the_tree(ledger: Ledger) -> None:
    """On PostgreSQL a slow transaction becomes visible behind younger ones; nothing moves."""
    with clock.shifted(timedelta(seconds=5)):
        (younger,) = ledger.append(1)
    ledger.seal()
    (older,) = ledger.append(1)
    ledger.seal()
    with ledger.db.read() as session:
        sealed = [e.id for e in queries.list_entries(session, EntryFilter())]
    assert sealed == [younger, older]
    assert_whole(ledger, 2)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_signature_signs_the_same_tree_again(
    ledger: Ledger, moment: str
) -> None:
    def die() -> None:
        raise Crash

    ledger.append(3)
    setattr(ledger.keyring, moment, die)
    with pytest.raises(Crash):
        ledger.seal()
    ledger.append(4)  # came while the process was dead: not part of the tree being signed
    setattr(ledger.keyring, moment, lambda: None)
    with clock.shifted(LEASE):
        ledger.seal(ledger.new_engine("second"))
    assert_whole(ledger, 7)
    assert {parse_checkpoint(b.decode()).size for b in ledger.keyring.signed} == {3, 7}


@pytest.mark.parametrize("crash_at", range(1, 7))
def test_a_crash_at_any_commit_leaves_no_gap_and_no_double(ledger: Ledger, crash_at: int) -> None:
    commits = 0

    def die(_session: Session) -> None:
        nonlocal commits
        commits += 1
        if commits == crash_at:
            raise Crash

    ledger.append(3)
    event.listen(Session, "before_commit", die)
    try:
        with pytest.raises(Crash):
            ledger.seal()
    finally:
        event.remove(Session, "before_commit", die)
    ledger.append(2)
    with clock.shifted(LEASE):
        ledger.seal(ledger.new_engine("second"))
    assert_whole(ledger, 5)


def test_a_worker_that_slept_past_its_lease_writes_nothing(ledger: Ledger) -> None:
    """It signs what was committed, so that even its late signature is of the one tree."""
    ledger.append(3)

    def oversleep() -> None:
        ledger.keyring.before = lambda: None
        ledger.append(2)
        with clock.shifted(LEASE):
            ledger.seal(ledger.new_engine("second"))

    ledger.keyring.before = oversleep
    ledger.seal()
    assert_whole(ledger, 5)
    assert [parse_checkpoint(b.decode()).size for b in ledger.keyring.signed] == [3, 5, 3]


def test_two_workers_and_many_writers_make_one_tree(ledger: Ledger) -> None:
    writers, each = 4, 12

    def write() -> None:
        for _ in range(each):
            ledger.append(1)

    def work(name: str, writing: list[Future[None]]) -> None:
        engine = ledger.new_engine(name)
        while not all(future.done() for future in writing):
            ledger.seal(engine)

    with ThreadPoolExecutor(writers + 2) as pool:
        writing = [pool.submit(write) for _ in range(writers)]
        working = [pool.submit(work, name, writing) for name in ("first", "second")]
        for future in [*writing, *working]:
            future.result()
    ledger.seal()
    assert_whole(ledger, writers * each)


def test_a_key_that_changed_stops_the_ledger_and_signs_nothing(ledger: Ledger) -> None:
    ledger.append(1)
    ledger.seal()
    ledger.append(1)
    held = ledger.keyring
    ledger.keyring = SigningKeyring(bytes(32))
    ledger.seal(ledger.new_engine("second"))
    with ledger.db.read() as session:
        life = lives.find_life(session, BIRTH.kind, LOG_ID)
    assert life is not None
    assert (life.state, life.failure_code) == (LifeState.STOPPED, "ledger_key_changed")
    assert ledger.keyring.signed == []
    ledger.keyring = held
    with ledger.db.begin() as session:
        assert lives.retry_life(session, ledger.life_id)
    ledger.seal()
    assert_whole(ledger, 2)


def test_a_keyring_that_is_away_only_delays(ledger: Ledger) -> None:
    def away() -> None:
        raise Unavailable("keyring_away")

    ledger.append(2)
    ledger.keyring.before = away
    ledger.seal()
    with ledger.db.read() as session:
        assert queries.latest_checkpoint(session) is None
        assert queries.lag_seconds(session) > 0
    ledger.keyring.before = lambda: None
    with clock.shifted(timedelta(minutes=1)):
        ledger.seal()
    assert_whole(ledger, 2)


def test_lag_and_backlog_tell_how_far_the_ledger_is_behind(ledger: Ledger) -> None:
    with ledger.db.read() as session:
        assert (queries.lag_seconds(session), queries.count_unsequenced(session)) == (0.0, 0)
    ledger.append(3)
    with clock.shifted(timedelta(seconds=7)), ledger.db.read() as session:
        assert 7 <= queries.lag_seconds(session) < 30
        assert queries.count_unsequenced(session) == 3
    ledger.seal()
    with ledger.db.read() as session:
        assert (queries.lag_seconds(session), queries.count_unsequenced(session)) == (0.0, 0)


def test_appending_rings_for_the_ledger_without_touching_its_life(ledger: Ledger) -> None:
    with ledger.db.begin() as session:
        before = lives.find_life(session, BIRTH.kind, LOG_ID)
        ledger.append_in(session)
        assert lives.rung_lives(session) == {ledger.life_id}
        assert before not in session.dirty


def test_appending_waits_for_no_other_append(db: Database) -> None:
    """PostgreSQL only: SQLite has one writer at a time anyway."""
    ledger = Ledger(db)
    if not db.is_postgresql:
        ledger.append(1)
        return
    with db.begin() as slow:
        ledger.append_in(slow)
        ledger.append(1)  # would hang here if the first held a lock
        ledger.seal()
    ledger.seal()
    assert_whole(ledger, 2)


def test_a_log_is_opened_once_and_keeps_its_name(ledger: Ledger) -> None:
    with ledger.db.begin() as session:
        actions.ensure_log(session, "another.test/ledger")
    ledger.append(1)
    ledger.seal()
    assert ledger.newest().startswith("edubba.test/ledger\n")


def test_a_log_needs_a_name_that_a_key_can_bear(sqlite_db: Database) -> None:
    with pytest.raises(NoteInvalid), sqlite_db.begin() as session:
        actions.ensure_log(session, "two words")


@pytest.mark.parametrize(
    "payload",
    [{"size": 2**53}, {"ratio": 1e16}, {"n": float("nan")}, {"at": object()}, {1: "one"}],
)
def test_a_payload_without_one_spelling_is_refused(
    sqlite_db: Database, payload: dict[str, object]
) -> None:
    ledger = Ledger(sqlite_db)
    with pytest.raises(PayloadInvalid):
        ledger.append(1, payload=payload)


def test_an_unsigned_tree_is_no_checkpoint_yet(ledger: Ledger) -> None:
    ledger.append(1)
    with clock.shifted(timedelta(seconds=1)):
        assert ledger.engine.run_step(ledger.life_id)  # places, does not sign
    with ledger.db.read() as session:
        assert session.get_one(LedgerCheckpoint, 1).note is None
        assert queries.latest_checkpoint(session) is None
        assert queries.signed_size(session) == 0


def test_no_query_of_the_ledger_reads_a_whole_table(sqlite_db: Database) -> None:
    ledger = Ledger(sqlite_db)
    ledger.append(20)
    ledger.seal()
    (entry,) = ledger.append(1)
    asked: dict[str, Any] = {}

    def listen(*about: Any) -> None:
        statement, parameters = about[2:4]
        if "ledger_" in statement and statement.startswith(("SELECT", "UPDATE")):
            asked[statement] = parameters[0] if isinstance(parameters, list) else parameters

    event.listen(sqlite_db.engine, "before_cursor_execute", listen)
    ledger.seal()
    with sqlite_db.read() as session:
        receipt(session, entry)
        queries.lag_seconds(session)
        queries.count_unsequenced(session)
    event.remove(sqlite_db.engine, "before_cursor_execute", listen)
    assert len(asked) > 10
    with sqlite_db.read() as session:
        for statement, parameters in asked.items():
            explained = session.connection().exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", parameters
            )
            plan = [row[3] for row in explained]
            assert not [p for p in plan if p.startswith(("SCAN ledger_entry", "SCAN ledger_node"))]
