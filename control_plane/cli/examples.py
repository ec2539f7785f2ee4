"""Example accounts for a first look, on zones that never leave the machine.

Run by the installer on the machine itself, as the user who owns the database:
`python -m control_plane.cli.examples` prints the accounts as JSON. Their passwords are made with
them, told once and stored nowhere in clear; the session that each gets is for the tour, which
logs out when it is over.
"""

import json
from dataclasses import asdict, dataclass, replace

from sqlmodel import Session

from control_plane.identity import actions as people
from control_plane.identity.queries import find_person_by_email
from control_plane.identity.rules import ExampleRefused, Role
from control_plane.kit.db import Database
from control_plane.kit.money import Money
from control_plane.kit.passwords import hash_password, new_password
from control_plane.ledger.rules import SYSTEM
from control_plane.settings import Settings
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy import queries
from control_plane.tenancy.models import Agency
from control_plane.tenancy.rules import Resource

AGENCY = tenancy.NewAgency("health", "وزارة الصحة", "Ministry of Health")
NAMES = {Role.OWNER: "ليلى من وزارة الصحة", Role.OPERATOR: "سامر من مركز البيانات"}
EMAILS = {Role.OWNER: "owner@health.example", Role.OPERATOR: "operator@centre.example"}
QUOTA = {
    Resource.SERVERS: 10,
    Resource.CPU_MILLIS: 8_000,
    Resource.MEMORY_MIB: 8_192,
    Resource.DISK_MIB: 32_768,
}
BUDGET = Money("IQD", 500_000_000)  # 500 dinars an hour: about seventy small sites


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody to log in as; the password is None if it was told before."""

    role: str
    email: str
    password: str | None
    token: str | None = None


def ensure_examples(
    db: Database, *, is_loopback_zone: bool, with_new_passwords: bool = False
) -> list[Account]:
    """Make the agency and one account a role, as far as they aren't there.

    Those that are keep their passwords unless new ones are wished, which ends their sessions.
    Raises: ExampleRefused on any zone whose names leave this machine; then nothing was made.
    """
    if not is_loopback_zone:
        raise ExampleRefused(reason="zone_is_public")
    with db.read() as session:
        known = {role for role, email in EMAILS.items() if find_person_by_email(session, email)}
    given = {role: new_password() for role in EMAILS if with_new_passwords or role not in known}
    hashes = {role: hash_password(password) for role, password in given.items()}
    with db.begin() as session:
        agency = _ensure_agency(session)
        for role, email in EMAILS.items():
            new = people.NewPerson(email, NAMES[role], "ar", hashes.get(role))
            where = agency.id if role is Role.OWNER else None
            people.ensure_example_person(
                session, new, {where: role}, is_loopback_zone=is_loopback_zone
            )
    return [Account(role.value, email, given.get(role)) for role, email in EMAILS.items()]


def open_sessions(db: Database, accounts: list[Account]) -> list[Account]:
    """Return the accounts with a token each: the tour acts for them, whatever their passwords."""
    opened = []
    with db.begin() as session:
        for account in accounts:
            person = find_person_by_email(session, account.email)
            if person is None:
                raise LookupError(account.email)
            _, secret = people.start_session(session, person, name="tour")
            opened.append(replace(account, token=secret))
    return opened


def _ensure_agency(session: Session) -> Agency:
    agency = queries.find_agency(session, AGENCY.slug)
    if agency is None:
        agency = tenancy.create_agency(session, SYSTEM, AGENCY)
        tenancy.set_quota(session, SYSTEM, agency.id, QUOTA)
        tenancy.set_budget(session, SYSTEM, agency.id, BUDGET)
    return agency


def main() -> None:
    """Print the accounts as JSON, for the tour."""
    settings = Settings()
    db = Database(settings.database_url.get_secret_value())
    accounts = ensure_examples(db, is_loopback_zone=settings.is_loopback_zone)
    print(json.dumps([asdict(one) for one in open_sessions(db, accounts)]))  # noqa: T201


if __name__ == "__main__":
    main()
