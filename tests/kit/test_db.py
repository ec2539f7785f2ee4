"""Both databases keep the promises that the rooms build on."""

import threading
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from control_plane.engine.models import EnginePause
from control_plane.kit import clock
from control_plane.kit.db import Database, database_now


def _pause(since: datetime, kind: str = "x") -> EnginePause:
    return EnginePause(kind=kind, since=since, actor_id="psn", reason="")


def test_times_come_back_aware_and_in_utc(db: Database) -> None:
    baghdad = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    with db.begin() as session:
        session.add(_pause(baghdad))
    with db.read() as session:
        since = session.exec(select(EnginePause)).one().since
    assert since == baghdad
    assert since.utcoffset() == timedelta()


def test_times_sort_as_they_pass(db: Database) -> None:
    start = clock.now()
    with db.begin() as session:
        for hours in (5, -3, 0, 11):
            session.add(_pause(start + timedelta(hours=hours), f"k{hours}"))
    with db.read() as session:
        query = select(EnginePause.kind).order_by(col(EnginePause.since))
        assert list(session.exec(query)) == ["k-3", "k0", "k5", "k11"]


def test_a_naive_time_is_refused(db: Database) -> None:
    with pytest.raises(Exception, match="naive"), db.begin() as session:
        session.add(_pause(datetime(2026, 1, 1)))  # noqa: DTZ001


def test_an_exception_leaves_nothing_behind(db: Database) -> None:
    def fail() -> None:
        with db.begin() as session:
            session.add(_pause(clock.now()))
            session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with db.read() as session:
        assert session.exec(select(EnginePause)).all() == []


def test_what_a_read_writes_is_lost(db: Database) -> None:
    with db.read() as session:
        session.add(_pause(clock.now()))
        session.flush()
    with db.read() as session:
        assert session.exec(select(EnginePause)).all() == []


def test_reading_and_then_writing_loses_no_update(db: Database) -> None:
    with db.begin() as session:
        session.connection().execute(text("CREATE TABLE counter (n integer)"))
        session.connection().execute(text("INSERT INTO counter VALUES (0)"))

    def count_up() -> None:
        for _ in range(20):
            with db.begin() as session:
                locked = "SELECT n FROM counter FOR UPDATE"
                query = locked if db.is_postgresql else "SELECT n FROM counter"
                n = session.connection().execute(text(query)).scalar_one()
                session.connection().execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=count_up) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as session:
        assert session.connection().execute(text("SELECT n FROM counter")).scalar_one() == 100


def test_the_clock_that_decides_leases_can_be_shifted(db: Database) -> None:
    with db.read() as session, clock.shifted(timedelta(days=2)):
        assert database_now(session) - clock.now() < timedelta(seconds=5)
