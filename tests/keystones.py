"""A Keystone as its administrator sees it: the one of `make devcloud`, or another that is named.

`EDUBBA_CLOUDS_FILE` and `EDUBBA_CLOUD_IMAGES_ENTRY` name it. What a test makes there has a name of
its own, and is removed at the end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2
import yaml

from control_plane.ports.identity_source.keystone import read_credential
from control_plane.ports.identity_source.port import Project

PASSWORD = "correct-horse-battery"


@dataclass
class Keystone:
    """Keystone's API with the rights of its administrator."""

    url: str
    http: httpx2.Client
    made: list[str] = field(default_factory=list)  # paths, to be deleted
    passwords: dict[str, str] = field(default_factory=dict)  # by user id

    def make(self, kind: str, **said: Any) -> str:
        """Make a `project`, `user` or `service`; return its id."""
        said.setdefault("name", f"t{token_hex(4)}")
        reply = self.http.post(f"/{kind}s", json={kind: said}).raise_for_status()
        made: str = reply.json()[kind]["id"]
        self.made.append(f"/{kind}s/{made}")
        return made

    def a_user(self) -> str:
        user_id = self.make("user", domain_id="default", password=PASSWORD)
        self.passwords[user_id] = PASSWORD
        return user_id

    def a_project(self) -> Project:
        return Project(self.make("project", domain_id="default"), "default")

    def give(self, user_id: str, place: str, role: str) -> None:
        """Give a user a role in `projects/ID` or `domains/ID`."""
        [found] = self.http.get("/roles", params={"name": role}).json()["roles"]
        path = f"/{place}/users/{user_id}/roles/{found['id']}"
        self.http.put(path).raise_for_status()

    def take(self, user_id: str, place: str, role: str) -> None:
        [found] = self.http.get("/roles", params={"name": role}).json()["roles"]
        path = f"/{place}/users/{user_id}/roles/{found['id']}"
        self.http.delete(path).raise_for_status()

    def token(self, user_id: str, scope: Any = "unscoped") -> str:
        """Let a user get a token by their password."""
        user = {"id": user_id, "password": self.passwords[user_id]}
        identity = {"methods": ["password"], "password": {"user": user}}
        auth = {"identity": identity, "scope": scope}
        reply = httpx2.post(f"{self.url}/auth/tokens", json={"auth": auth}).raise_for_status()
        return str(reply.headers["x-subject-token"])

    def revoke(self, token: str) -> None:
        self.http.delete("/auth/tokens", headers={"X-Subject-Token": token}).raise_for_status()

    def disable(self, user_id: str) -> None:
        wish = {"user": {"enabled": False}}
        self.http.patch(f"/users/{user_id}", json=wish).raise_for_status()

    def remove_everything(self) -> None:
        for path in reversed(self.made):
            self.http.delete(path).raise_for_status()


@contextmanager
def a_keystone() -> Iterator[Keystone]:
    """Log in as the administrator that is named; remove what was made at the end."""
    file, entry = Path(os.environ["EDUBBA_CLOUDS_FILE"]), os.environ["EDUBBA_CLOUD_IMAGES_ENTRY"]
    url = yaml.safe_load(file.read_text())["clouds"][entry]["auth"]["auth_url"]
    credential = {"auth": read_credential(file, entry)}
    reply = httpx2.post(f"{url}/auth/tokens", json=credential).raise_for_status()
    headers = {"X-Auth-Token": reply.headers["x-subject-token"]}
    with httpx2.Client(base_url=url, headers=headers, timeout=30) as http:
        found = Keystone(url, http)
        try:
            yield found
        finally:
            found.remove_everything()
