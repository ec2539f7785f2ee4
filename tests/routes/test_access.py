"""Every route, every role, own and foreign agency: no cell of the table is missing or wrong."""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from httpx2 import Response
from sqlmodel import func, select
from starlette.testclient import TestClient

from control_plane.app import create_app
from control_plane.identity.access import Gate, PublicGate
from control_plane.identity.rules import AGENCY_ROLES, Role
from control_plane.kit.db import Database
from control_plane.kit.openapi import list_routes
from control_plane.ledger.models import LedgerEntry
from control_plane.tenancy.models import Agency
from tests.api import PLENTY, Api, User, a_person, an_agency, an_api
from tests.offer import an_offer
from tests.routes.table import TABLE, Access
from tests.routes.things import FILLERS, Place

SAFE = ("GET", "HEAD")
STRANGER = ("192.0.2.7", 50_000)  # loopback is trusted with figures; a stranger is not


@dataclass(frozen=True, slots=True)
class World:
    api: Api
    own: Agency
    foreign: Agency

    def user(self, role: str) -> User | None:
        """Make somebody new for each cell: cells log people out."""
        if role == "anonymous":
            return None
        is_member = Role(role) in AGENCY_ROLES
        return a_person(self.api, Role(role), self.own if is_member else None)


@pytest.fixture(scope="module")
def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("routes") / "edubba.db"
    file.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{file}")
    with an_api(db) as api:
        stranger = TestClient(api.app, client=STRANGER)
        far = Api(api.app, api.desk, stranger)
        an_offer(db)
        much = {resource: amount * 100 for resource, amount in PLENTY.items()}
        yield World(far, an_agency(db, "own", much), an_agency(db, "foreign", much))
    db.close()


def _named_routes(api: Api) -> dict[str, Dependant]:
    return {
        f"{method} {route.path}": route.dependant
        for route in list_routes(api.app)
        for method in route.methods or ()
        if method != "HEAD"
    }


def test_no_route_is_missing_from_the_table(world: World) -> None:
    assert set(_named_routes(world.api)) == set(TABLE)


def test_every_route_says_who_may_come(world: World) -> None:
    for name, dependant in _named_routes(world.api).items():
        gates = [
            found.call
            for found in _all_dependencies(dependant)
            if isinstance(found.call, (Gate, PublicGate))
        ]
        assert len(gates) == 1, name


def _all_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for found in dependant.dependencies:
        yield found
        yield from _all_dependencies(found)


@pytest.mark.parametrize("name", TABLE)
def test_each_role_reaches_what_it_may_and_nothing_else(world: World, name: str) -> None:
    access = TABLE[name]
    wrong = [
        found
        for role in ("anonymous", *(role.value for role in Role))
        for side in ("own", "foreign")
        if (found := _try_cell(world, name, access, (role, side)))
    ]
    assert not wrong, "\n".join(wrong)


def _try_cell(world: World, name: str, access: Access, cell: tuple[str, str]) -> str | None:
    role, side = cell
    if side == "foreign" and access.foreign is None:
        return None
    place = Place(world.api, world.own if side == "own" else world.foreign, world.user(role))
    method, path, body = _filled(name, access, place)
    before = _entries(world.api.db)
    asked = place.user.request if place.user else world.api.client.request
    sent = {"json": body} if access.content is None else {"content": access.content}
    answer: Response = asked(method, path, headers=access.headers, **sent)
    expected = _expected(access, role, side)
    if answer.status_code not in expected:
        return f"{role} {side}: {answer.status_code} not {expected}: {answer.text}"
    is_let_in = answer.status_code in access.success
    is_written = _entries(world.api.db) > before
    if is_let_in and _must_be_written_down(name, access, side) and not is_written:
        return f"{role} {side}: nothing in the ledger"
    if not is_let_in and is_written:
        return f"{role} {side}: refused, but the ledger has it"
    return None


def _expected(access: Access, role: str, side: str) -> tuple[int, ...]:
    allowed = access.own if side == "own" else access.foreign or ""
    if role in allowed.split():
        return access.success
    if role == "anonymous":
        return (401,)
    if side == "foreign" and role in access.own.split():
        return (404,)  # foreign things look absent
    return (access.denied,)


def _must_be_written_down(name: str, access: Access, side: str) -> bool:
    if name.split(maxsplit=1)[0] not in SAFE:
        return not access.is_read_only
    return access.foreign is not None and side == "foreign" and 200 in access.success


def _filled(name: str, access: Access, place: Place) -> tuple[str, str, Any]:
    method, template = name.split(" ", 1)
    template = access.path or template
    wanted = [field for _, field, _, _ in string.Formatter().parse(template) if field]
    place.filled.update({field: FILLERS[field](place) for field in wanted})
    path = template.format(**place.filled)
    return method, path, access.body(place)


def _entries(db: Database) -> int:
    with db.read() as session:
        return session.exec(select(func.count()).select_from(LedgerEntry)).one()


def test_a_new_route_without_a_permission_would_be_found(sqlite_db: Database) -> None:
    with an_api(sqlite_db) as api:
        app = create_app(api.desk)

        @app.get("/v1/forgotten")
        def forgotten() -> None:
            """Let everybody in, by mistake."""

        served = Api(app, api.desk, api.client)
        assert set(_named_routes(served)) - set(TABLE) == {"GET /v1/forgotten"}
