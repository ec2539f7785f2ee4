"""Names are claimed once, below the zone, in one script, and never mistaken for another."""

import threading

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, select

from control_plane.hostnames import actions, queries
from control_plane.hostnames.models import Hostname
from control_plane.hostnames.rules import (
    RESERVED,
    TRANSITIONS,
    HostnameForeign,
    HostnameLookalike,
    HostnameMalformed,
    HostnameMoveRefused,
    HostnameReserved,
    HostnameStatus,
    HostnameTaken,
    look_of,
    move,
    parse_hostname,
    script_of,
)
from control_plane.hostnames.rules.looks import _ARABIC, _DIGITS, _LATIN, Script
from control_plane.kit.db import Database
from control_plane.ledger.models import LedgerEntry
from tests.api import an_agency
from tests.world import a_hosting_row

ZONE = "edubba.localhost"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("health", "health.edubba.localhost"),
        ("Health", "health.edubba.localhost"),
        (" health.edubba.localhost. ", "health.edubba.localhost"),
        ("HEALTH.EDUBBA.LOCALHOST", "health.edubba.localhost"),
        ("forms-2", "forms-2.edubba.localhost"),
        ("2forms", "2forms.edubba.localhost"),
        ("صحة", "xn--ogbhx.edubba.localhost"),
        ("xn--ogbhx", "xn--ogbhx.edubba.localhost"),
        ("وزارة-الصحة", "xn----ymcbgcxyg6a2lnb.edubba.localhost"),
        ("تەندروستی", "xn--pgbaoik5iqa27hec.edubba.localhost"),
        ("sağlık", "xn--salk-1wa3i.edubba.localhost"),
        ("a" * 63, f"{'a' * 63}.edubba.localhost"),
    ],
)
def test_what_may_be_a_hostname(text: str, name: str) -> None:
    assert parse_hostname(text, ZONE).ascii == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (".", "it is empty"),
        ("a", "at least 2"),
        ("a" * 64, "longer than 63"),
        ("ص" * 60, "longer than 63"),
        ("-ab", "hyphen"),
        ("ab-", "hyphen"),
        ("ab--c", "hyphen"),
        ("a_b", "characters"),
        ("a b", "characters"),
        ("a*", "characters"),
        ("a\x00b", "characters"),
        ("café\u0301", "Latin or Arabic"),
        ("١٢٣صحة", "characters"),
        ("صحة٣", "Latin or Arabic"),
        ("صحـة", "characters"),
        ("صِحة", "Latin or Arabic"),
        ("صح\u200cة", "Latin or Arabic"),
        ("hea\u200dlth", "characters"),
        ("hеalth", "Latin or Arabic"),  # the second letter is Cyrillic
        ("ρaypal", "Latin or Arabic"),
        ("healthصحة", "characters"),
        ("健康", "Latin or Arabic"),
        ("xn--zzzzzzz", "Latin or Arabic"),
        ("xn--a", "hyphen"),
        ("123", "at least one letter"),
        ("10-2", "at least one letter"),
        ("x.y.edubba.localhost", "one label"),
        ("a..edubba.localhost", "one label"),
    ],
)
def test_what_may_not_and_why(text: str, reason: str) -> None:
    with pytest.raises(HostnameMalformed) as refused:
        parse_hostname(text, ZONE)
    assert reason in str(refused.value.facts["reason"])


@pytest.mark.parametrize("text", ["health.gov.iq", "localhost.", "edubba.localhost", "a.b"])
def test_names_elsewhere_are_refused_until_they_can_be_proved(text: str) -> None:
    with pytest.raises((HostnameForeign, HostnameReserved)):
        parse_hostname(text, ZONE)


@pytest.mark.parametrize("text", ["www", "WWW", "adm1n", "rnail", "mai1", "edubba", "l0gin"])
def test_reserved_names_and_what_looks_like_them_are_refused(text: str) -> None:
    with pytest.raises(HostnameReserved):
        parse_hostname(text, ZONE)


def test_every_reserved_name_is_refused() -> None:
    for name in RESERVED:
        with pytest.raises(HostnameReserved):
            parse_hostname(name, ZONE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ministry", "rninistry"),
        ("interior", "1nterior"),
        ("trade0", "tradeo"),
        ("wave", "vvave"),
        ("saglik", "sağlık"),
        ("صحة", "صحه"),
        ("كهرباء", "کهرباء"),
        ("التعليم-العالي", "التعليم-العالى"),
        ("أمن-وطني", "امن-وطني"),
    ],
)
def test_names_that_look_alike_have_one_look(one: str, other: str) -> None:
    assert parse_hostname(one, ZONE).look == parse_hostname(other, ZONE).look


@pytest.mark.parametrize(("one", "other"), [("health", "wealth"), ("صحة", "صلة"), ("a-b", "ab")])
def test_names_that_differ_keep_their_own_look(one: str, other: str) -> None:
    assert parse_hostname(one, ZONE).look != parse_hostname(other, ZONE).look


_LABELS = st.text(alphabet=_LATIN + _DIGITS + "-", min_size=1, max_size=12) | st.text(
    alphabet=_ARABIC + _DIGITS + "-", min_size=1, max_size=12
)


@given(_LABELS)
def test_a_look_looks_like_itself_and_stays_in_its_script(label: str) -> None:
    look = look_of(label)
    assert script_of(look) is script_of(label)
    folded = look_of(look)
    assert folded == look_of(folded)


@given(st.text(max_size=20))
def test_whatever_is_let_in_is_a_name_in_one_script_that_reads_back(text: str) -> None:
    try:
        name = parse_hostname(text, ZONE)
    except (HostnameMalformed, HostnameForeign, HostnameReserved):
        return
    label = name.ascii.removesuffix(f".{ZONE}")
    assert label.isascii()
    assert label == label.lower()
    assert len(label) <= 63
    assert script_of(idna.decode(label)) in set(Script)
    assert parse_hostname(name.ascii, ZONE) == name


def test_a_name_goes_to_one_hosting_until_it_is_released(db: Database) -> None:
    agency = an_agency(db)
    mine, other = a_hosting_row(db, agency), a_hosting_row(db, agency)
    name = parse_hostname("ministry", ZONE)
    with db.begin() as session:
        first = actions.claim(session, "psn_x", agency.id, mine.id, name)
        assert actions.claim(session, "psn_x", agency.id, mine.id, name).id == first.id
        with pytest.raises(HostnameTaken):
            actions.claim(session, "psn_x", agency.id, other.id, name)
        look = parse_hostname("rninistry", ZONE)
        with pytest.raises(HostnameLookalike):
            actions.claim(session, "psn_x", agency.id, other.id, look)
        for _ in range(2):
            actions.mark_serving(session, "life:x", mine.id)
        for _ in range(2):
            actions.release(session, "life:x", mine.id)
        assert actions.claim(session, "psn_x", agency.id, other.id, name).id != first.id
        told = select(LedgerEntry.action).where(col(LedgerEntry.subject_id) == first.id)
        assert list(session.exec(told.order_by(col(LedgerEntry.created_at)))) == [
            "hostname.claimed",
            "hostname.serving",
            "hostname.released",
        ]


def test_of_many_at_once_one_gets_the_name_and_the_others_are_told(db: Database) -> None:
    agency = an_agency(db)
    hostings = [a_hosting_row(db, agency) for _ in range(6)]
    ready, told = threading.Barrier(len(hostings)), []

    def claim(hosting_id: str, text: str) -> None:
        ready.wait()
        try:
            with db.begin() as session:
                name = parse_hostname(text, ZONE)
                actions.claim(session, "psn_x", agency.id, hosting_id, name)
        except (HostnameTaken, HostnameLookalike) as refused:
            told.append(refused.status)

    texts = ["ministry", "rninistry"] * 3
    threads = [
        threading.Thread(target=claim, args=(hosting.id, text))
        for hosting, text in zip(hostings, texts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [409] * 5
    with db.read() as session:
        assert len(session.exec(select(Hostname)).all()) == 1
        assert queries.find_lookalike(session, parse_hostname("ministry", ZONE).look) is not None


@pytest.mark.parametrize("present", list(HostnameStatus))
@pytest.mark.parametrize("to", list(HostnameStatus))
def test_a_hostname_moves_only_as_the_table_says(
    present: HostnameStatus, to: HostnameStatus
) -> None:
    if (present, to) in TRANSITIONS:
        assert move(present, to) is to
    else:
        with pytest.raises(HostnameMoveRefused):
            move(present, to)
