"""An agency that asks, and an operator who decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.tenancy.models import Agency, Region
from tests.api import Api, User, a_person, an_agency, an_api
from tests.centre import Centre, a_centre
from tests.offer import an_offer


@dataclass(frozen=True, slots=True)
class Scene:
    """The people of a story, and the application that they use."""

    api: Api
    region: Region
    agency: Agency
    owner: User
    developer: User
    operator: User

    @property
    def db(self) -> Database:
        return self.api.db


def a_scene(api: Api) -> Scene:
    region = an_offer(api.db)
    agency = an_agency(api.db)
    return Scene(
        api,
        region,
        agency,
        owner=a_person(api, Role.OWNER, agency),
        developer=a_person(api, Role.DEVELOPER, agency),
        operator=a_person(api, Role.OPERATOR),
    )


@pytest.fixture
def scene(db: Database) -> Iterator[Scene]:
    """Serve the API on each of the two engines."""
    with an_api(db) as api:
        yield a_scene(api)


@pytest.fixture
def quick_scene(sqlite_db: Database) -> Iterator[Scene]:
    """Serve the API on SQLite, where the engine makes no difference."""
    with an_api(sqlite_db) as api:
        yield a_scene(api)


@pytest.fixture
def centre(db: Database) -> Iterator[Centre]:
    """Run a whole data centre in memory, on each of the two engines."""
    with a_centre(db) as made:
        yield made
