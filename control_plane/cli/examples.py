"""Example accounts for a first look, on zones that never leave the machine.

Run by the installer on the machine itself, as the user who owns the database:
`python -m control_plane.cli.examples` prints the accounts with new passwords, which are stored
nowhere in clear.
"""

import json
from dataclasses import asdict, dataclass

from sqlmodel import Session

from control_plane.identity import actions as people
from control_plane.identity.rules import Role
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
QUOTA = {
    Resource.SERVERS: 10,
    Resource.CPU_MILLIS: 8_000,
    Resource.MEMORY_MIB: 8_192,
    Resource.DISK_MIB: 32_768,
}
BUDGET = Money("IQD", 500_000_000)  # 500 dinars an hour: about seventy small sites


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody to log in as; the password is known only to who reads this once."""

    role: str
    email: str
    password: str


def ensure_examples(db: Database, *, is_loopback_zone: bool) -> list[Account]:
    """Make the agency and one account a role, or give the accounts new passwords.

    Raises: ExampleRefused on any zone whose names leave this machine; then nothing was made.
    """
    accounts = [
        Account(Role.OWNER.value, "owner@health.example", new_password()),
        Account(Role.OPERATOR.value, "operator@centre.example", new_password()),
    ]
    hashes = {account.email: hash_password(account.password) for account in accounts}
    with db.begin() as session:
        for account in accounts:
            role = Role(account.role)
            new = people.NewPerson(account.email, _name(role), "ar", hashes[account.email])
            agency = _ensure_agency(session).id if role is Role.OWNER else None
            people.ensure_example_person(
                session, new, {agency: role}, is_loopback_zone=is_loopback_zone
            )
    return accounts


def _name(role: Role) -> str:
    return "ليلى من وزارة الصحة" if role is Role.OWNER else "سامر من مركز البيانات"


def _ensure_agency(session: Session) -> Agency:
    agency = queries.find_agency(session, AGENCY.slug)
    if agency is None:
        agency = tenancy.create_agency(session, SYSTEM, AGENCY)
        tenancy.set_quota(session, SYSTEM, agency.id, QUOTA)
        tenancy.set_budget(session, SYSTEM, agency.id, BUDGET)
    return agency


def main() -> None:
    """Print the accounts as JSON, for the tour that shows them."""
    settings = Settings()
    db = Database(settings.database_url.get_secret_value())
    accounts = ensure_examples(db, is_loopback_zone=settings.is_loopback_zone)
    print(json.dumps([asdict(account) for account in accounts]))  # noqa: T201


if __name__ == "__main__":
    main()
