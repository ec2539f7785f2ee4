"""What every identity source keeps: one suite, the one in memory and a real Keystone."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import uuid4

import pytest

from control_plane.kit import clock
from control_plane.kit.errors import Unavailable
from control_plane.ports.identity_source.keystone import KeystoneSource, read_credential
from control_plane.ports.identity_source.memory import MemoryIdentitySource
from control_plane.ports.identity_source.port import IdentitySource, Project
from tests.keystones import PASSWORD, Keystone, a_keystone
from tests.ports import free_port
from tests.waiting import wait_until


class World(Protocol):
    """An identity source, and who gives out its tokens."""

    @property
    def source(self) -> IdentitySource: ...
    def a_user(self) -> str: ...
    def a_project(self) -> Project: ...
    def token(self, user_id: str, project: Project | None, *roles: str) -> str: ...
    def revoke(self, token: str) -> None: ...
    def disable(self, user_id: str) -> None: ...
    def away(self) -> IdentitySource: ...


@dataclass
class Memory:
    source: MemoryIdentitySource = field(default_factory=MemoryIdentitySource)

    def a_user(self) -> str:
        return uuid4().hex

    def a_project(self) -> Project:
        return Project(uuid4().hex, "default")

    def token(self, user_id: str, project: Project | None, *roles: str) -> str:
        return self.source.issue(user_id, project, *roles)

    def revoke(self, token: str) -> None:
        self.source.revoke(token)

    def disable(self, user_id: str) -> None:
        self.source.disabled.add(user_id)

    def away(self) -> IdentitySource:
        return MemoryIdentitySource(is_away=True)


@dataclass
class Real:
    keystone: Keystone
    source: KeystoneSource

    def a_user(self) -> str:
        return self.keystone.a_user()

    def a_project(self) -> Project:
        return self.keystone.a_project()

    def token(self, user_id: str, project: Project | None, *roles: str) -> str:
        if project is None:
            return self.keystone.token(user_id)
        for role in roles:
            self.keystone.give(user_id, f"projects/{project.id}", role)
        return self.keystone.token(user_id, {"project": {"id": project.id}})

    def revoke(self, token: str) -> None:
        self.keystone.revoke(token)

    def disable(self, user_id: str) -> None:
        self.keystone.disable(user_id)

    def away(self) -> IdentitySource:
        return KeystoneSource(f"http://127.0.0.1:{free_port()}")


@contextmanager
def memory() -> Iterator[World]:
    yield Memory()


@contextmanager
def keystone() -> Iterator[World]:
    """Tokens speak for themselves."""
    with a_keystone() as found:
        source = KeystoneSource(found.url)
        yield Real(found, source)
        source.close()


@contextmanager
def keystone_by_service() -> Iterator[World]:
    """A service credential asks, with the one right to validate tokens."""
    with a_keystone() as found:
        user_id, project = found.a_user(), found.a_project()
        found.give(user_id, f"projects/{project.id}", "service")
        auth = {"user_id": user_id, "password": PASSWORD, "project_id": project.id}
        with TemporaryDirectory() as folder:
            file = Path(folder) / "clouds.yaml"
            file.write_text(json.dumps({"clouds": {"web": {"auth": auth}}}))
            source = KeystoneSource(found.url, read_credential(file, "web"))
        yield Real(found, source)
        source.close()


WORLDS = [
    pytest.param(memory, id="memory"),
    pytest.param(keystone, id="keystone", marks=pytest.mark.cloud),
    pytest.param(keystone_by_service, id="keystone-by-service", marks=pytest.mark.cloud),
]


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    make: Callable[[], AbstractContextManager[World]] = request.param
    with make() as found:
        yield found


def test_a_token_says_whose_it_is_in_which_project_and_with_which_roles(world: World) -> None:
    user_id, project = world.a_user(), world.a_project()
    said = world.source.verify(world.token(user_id, project, "member"))
    assert said is not None
    assert (said.user_id, said.user_domain_id, said.project) == (user_id, "default", project)
    assert "member" in said.roles
    assert said.user_name
    assert clock.now() < said.expires_at


def test_a_token_without_a_project_says_so(world: World) -> None:
    said = world.source.verify(world.token(world.a_user(), None))
    assert said is not None
    assert (said.project, said.roles) == (None, frozenset())


def test_a_revoked_token_says_nothing(world: World) -> None:
    user_id, project = world.a_user(), world.a_project()
    token = world.token(user_id, project, "member")
    other = world.token(user_id, project, "member")
    world.revoke(token)
    assert world.source.verify(token) is None
    assert world.source.verify(other) is not None


def test_a_disabled_users_token_says_nothing(world: World) -> None:
    user_id = world.a_user()
    token = world.token(user_id, world.a_project(), "member")
    world.disable(user_id)
    assert world.source.verify(token) is None


def test_a_token_says_nothing_after_its_end(world: World) -> None:
    token = world.token(world.a_user(), world.a_project(), "member")
    with clock.shifted(timedelta(days=2)):
        assert world.source.verify(token) is None


@pytest.mark.parametrize("token", ["gAAAA", "", "a b", "a\r\nX-Auth-Token: b", "é", "a" * 5000])
def test_what_is_no_token_says_nothing(world: World, token: str) -> None:
    assert world.source.verify(token) is None


def test_what_was_never_asked_is_not_known(world: World) -> None:
    assert world.source.recall("gAAAA") is None


def test_one_that_is_away_says_so(world: World) -> None:
    with pytest.raises(Unavailable, match="identity_source_unavailable"):
        world.away().verify("gAAAA")


@pytest.mark.cloud
def test_a_service_credential_whose_own_token_ended_gets_another() -> None:
    with keystone_by_service() as world:
        assert isinstance(world, Real)
        user_id, project = world.a_user(), world.a_project()
        token = world.token(user_id, project, "member")
        assert world.source.verify(token) is not None
        own = world.source._own
        assert own is not None
        world.revoke(own)

        def is_renewed() -> bool:
            assert world.source.verify(token) is not None, "it says nothing of the other's token"
            return world.source._own != own

        wait_until(is_renewed)  # Keystone itself takes a moment where the token is the asker's
