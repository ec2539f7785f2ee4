"""Example accounts: on this machine only, with passwords that nobody can look up."""

import pytest

from control_plane.cli.examples import AGENCY, ensure_examples
from control_plane.identity.queries import find_person_by_email, list_grants
from control_plane.identity.rules import ExampleRefused, Role
from control_plane.kit.db import Database
from control_plane.kit.passwords import is_right
from control_plane.tenancy.queries import find_agency, find_budget, quotas_of


def test_the_example_agency_has_an_owner_a_quota_and_a_budget(db: Database) -> None:
    owner, operator = ensure_examples(db, is_loopback_zone=True)
    with db.read() as session:
        agency = find_agency(session, AGENCY.slug)
        assert agency
        assert quotas_of(session, agency.id)
        assert find_budget(session, agency.id)
        for account, role, where in (
            (owner, Role.OWNER, agency.id),
            (operator, Role.OPERATOR, None),
        ):
            person = find_person_by_email(session, account.email)
            assert person
            assert account.password
            assert is_right(person.password_hash, account.password)
            grants = [(Role(g.role), g.agency_id) for g in list_grants(session, person.id)]
            assert grants == [(role, where)]


def test_asking_again_leaves_the_passwords_as_they_are(sqlite_db: Database) -> None:
    first = ensure_examples(sqlite_db, is_loopback_zone=True)
    second = ensure_examples(sqlite_db, is_loopback_zone=True)
    assert [a.email for a in first] == [a.email for a in second]
    assert [a.password for a in second] == [None, None]
    for account in first:
        assert opens(sqlite_db, account.email, account.password)


def test_new_passwords_are_given_when_they_are_wished(sqlite_db: Database) -> None:
    first = ensure_examples(sqlite_db, is_loopback_zone=True)
    second = ensure_examples(sqlite_db, is_loopback_zone=True, with_new_passwords=True)
    for before, after in zip(first, second, strict=True):
        assert not opens(sqlite_db, before.email, before.password)
        assert opens(sqlite_db, after.email, after.password)


def opens(db: Database, email: str, password: str | None) -> bool:
    with db.read() as session:
        person = find_person_by_email(session, email)
    assert person
    assert password
    return is_right(person.password_hash, password)


def test_a_zone_that_leaves_the_machine_gets_no_examples(sqlite_db: Database) -> None:
    with pytest.raises(ExampleRefused):
        ensure_examples(sqlite_db, is_loopback_zone=False)
    with sqlite_db.read() as session:
        assert find_agency(session, AGENCY.slug) is None
