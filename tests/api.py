"""The API as a test sees it: an application around a fresh database, and people who use it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from control_plane.app import create_app
from control_plane.engine.bell import SilentBell
from control_plane.identity import actions as people
from control_plane.identity.access import Desk
from control_plane.identity.models import Person
from control_plane.identity.rules import Actor, Role, TokenKind
from control_plane.kit.db import Database
from control_plane.kit.ids import new_id
from control_plane.kit.money import Money
from control_plane.ledger.rules import SYSTEM
from control_plane.ports.blobs.memory import MemoryBlobs
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import Agency
from control_plane.tenancy.rules import Resource

PLENTY = {
    Resource.SERVERS: 100,
    Resource.CPU_MILLIS: 100_000,
    Resource.MEMORY_MIB: 102_400,
    Resource.DISK_MIB: 1_024_000,
}
PLENTY_MICROS = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Api:
    """An application, its database and its desk."""

    app: FastAPI
    desk: Desk
    client: TestClient

    @property
    def db(self) -> Database:
        return self.desk.db


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token; every POST carries an Idempotency-Key unless one is given."""

    client: TestClient
    person: Person
    actor: Actor
    secret: str

    def request(self, method: str, path: str, **options: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.secret}", "Accept-Language": "en"}
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        headers |= options.pop("headers", {})
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: object = None, **options: Any) -> Response:
        return self.request("POST", path, json=json, **options)

    def put(self, path: str, json: object = None, **options: Any) -> Response:
        return self.request("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self.request("DELETE", path, **options)


@contextmanager
def an_api(db: Database, **changes: Any) -> Iterator[Api]:
    """Serve an application around a database; `changes` are fields of the desk."""
    desk = Desk(**{"db": db, "bell": SilentBell(), "blobs": MemoryBlobs(), **changes})
    app = create_app(desk)
    with TestClient(app) as client:
        yield Api(app, desk, client)


def an_agency(
    db: Database,
    slug: str = "health",
    quota: dict[Resource, int] | None = None,
    budget: int | None = PLENTY_MICROS,
) -> Agency:
    """Take in an agency with plenty of everything, or with what is said (micro-dinars an hour)."""
    with db.begin() as session:
        new = tenancy.NewAgency(slug, f"جهة {slug}", f"Agency {slug}")
        agency = tenancy.create_agency(session, SYSTEM, new)
        tenancy.set_quota(session, SYSTEM, agency.id, PLENTY if quota is None else quota)
        if budget is not None:
            tenancy.set_budget(session, SYSTEM, agency.id, Money("IQD", budget))
        return agency


def a_person(
    api: Api, role: Role = Role.OWNER, agency: Agency | None = None, name: str = "Somebody"
) -> User:
    """Make somebody with a role, in the agency or (None) in the data centre, who has a token."""
    with api.db.begin() as session:
        new = people.NewPerson(f"{new_id('psn')}@example.iq", name, "en")
        person = people.create_person(session, SYSTEM, new)
        people.grant_role(session, SYSTEM, person.id, role, agency.id if agency else None)
    return as_user(api, person)


def as_user(api: Api, person: Person, wish: people.TokenWish | None = None) -> User:
    """Let a person act with a new token, all of their rights or as wished."""
    kind = TokenKind.API if wish else TokenKind.SESSION
    wish = wish or people.TokenWish("test", timedelta(hours=12))
    with api.db.begin() as session:
        _, secret = people._new_token(session, person.id, kind, wish)
    with api.db.begin() as session:
        found = people.find_actor(session, secret)
        assert found is not None
        people.note_use(session, found[0])
    return User(api.client, person, found[0], secret)
