"""Asks a Keystone about tokens, with two calls of its API v3 and nothing of its libraries.

A token speaks for itself (Keystone's rule `token_subject`), so that the web process needs no
secret of the cloud's. Where a cloud's policy doesn't allow that, a service credential asks.
"""

import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import yaml

from control_plane.kit import clock
from control_plane.kit.errors import Unavailable
from control_plane.kit.log import get_log
from control_plane.ports.identity_source.port import AWAY, Project, Verified

log = get_log("identity_source")
TIMEOUT = httpx2.Timeout(4.0, connect=2.0, pool=1.0)
_TOKEN = re.compile(r"[!-~]{1,4096}")  # what a header can carry; Fernet's have some 200


class KeystoneSource:
    """One Keystone; `credential` None: each token asks about itself."""

    def __init__(
        self, url: str, credential: Mapping[str, Any] | None = None, ca_file: Path | None = None
    ) -> None:
        root = url.rstrip("/").removesuffix("/v3")
        self._credential = credential
        self._own: str | None = None
        self._http = httpx2.Client(
            base_url=f"{root}/v3",
            timeout=TIMEOUT,
            verify=ssl.create_default_context(cafile=ca_file),  # none: the machine's own
            trust_env=False,  # neither a proxy nor a netrc has a part in this
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def recall(self, token: str) -> Verified | None:  # noqa: ARG002
        """Return None: it is always asked."""
        return None

    def verify(self, token: str) -> Verified | None:
        """Return what a token says. Raises: Unavailable."""
        if _TOKEN.fullmatch(token) is None:
            return None
        reply = self._ask(token)
        if reply.status_code in _refusals(is_by_itself=self._credential is None):
            return None
        if reply.status_code != HTTPStatus.OK:
            log.error("token_not_judged", status=reply.status_code)
            raise Unavailable(AWAY, status=reply.status_code)
        said = _read(reply)
        return said if said.expires_at > clock.now() else None

    def _ask(self, token: str) -> httpx2.Response:
        own = self._asker() if self._credential else token
        reply = self._look(own, token)
        if self._credential and reply.status_code == HTTPStatus.UNAUTHORIZED:
            self._own = None  # ours expired or was revoked, which says nothing of the other
            reply = self._look(self._asker(), token)
        return reply

    def _look(self, own: str, token: str) -> httpx2.Response:
        headers = {"X-Auth-Token": own, "X-Subject-Token": token}
        return self._send("GET", "/auth/tokens", headers=headers, params={"nocatalog": ""})

    def _asker(self) -> str:
        own = self._own
        if own is None:
            reply = self._send("POST", "/auth/tokens", json={"auth": self._credential})
            own = reply.headers.get("x-subject-token")
            if reply.status_code != HTTPStatus.CREATED or own is None:
                log.error("service_credential_refused", status=reply.status_code)
                raise Unavailable(AWAY, status=reply.status_code)
            self._own = own
        return own

    def _send(self, method: str, path: str, **said: Any) -> httpx2.Response:
        try:
            return self._http.request(method, path, **said)
        except httpx2.TransportError as error:
            raise Unavailable(AWAY, why=type(error).__name__) from error


def read_credential(file: Path, entry: str) -> dict[str, Any]:
    """Return who asks about tokens, from an entry of a clouds.yaml, as Keystone's API wants it.

    Raises: ValueError, which names the file and the entry and nothing in them.
    """
    try:
        auth = yaml.safe_load(file.read_text(encoding="utf-8"))["clouds"][entry]["auth"]
        return _credential(auth)
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        # Without its cause: YAML's errors quote the line, which may be the password's.
        raise ValueError(f"{file} has no credential under clouds/{entry}/auth") from None


def _credential(auth: Mapping[str, str]) -> dict[str, Any]:
    if "application_credential_secret" in auth:
        proof = {"id": auth["application_credential_id"]}
        proof["secret"] = auth["application_credential_secret"]
        methods = ["application_credential"]
        return {"identity": {"methods": methods, "application_credential": proof}}
    user = _named(auth, "user", "username") | {"password": auth["password"]}
    identity = {"methods": ["password"], "password": {"user": user}}
    if "system_scope" in auth:
        return {"identity": identity, "scope": {"system": {"all": True}}}
    return {"identity": identity, "scope": {"project": _named(auth, "project", "project_name")}}


def _named(auth: Mapping[str, str], kind: str, name: str) -> dict[str, Any]:
    if f"{kind}_id" in auth:
        return {"id": auth[f"{kind}_id"]}
    by_id = auth.get(f"{kind}_domain_id") or auth.get("domain_id")
    domain = {"id": by_id} if by_id else {"name": auth[f"{kind}_domain_name"]}
    return {"name": auth[name], "domain": domain}


def _refusals(*, is_by_itself: bool) -> set[HTTPStatus]:
    """Return the answers that speak of the token, and not of who asks about it."""
    of_the_token = {HTTPStatus.NOT_FOUND}
    return of_the_token | {HTTPStatus.UNAUTHORIZED} if is_by_itself else of_the_token


def _read(reply: httpx2.Response) -> Verified:
    try:
        said = reply.json()["token"]
        user, project = said["user"], said.get("project")
        return Verified(
            user_id=user["id"],
            user_name=user["name"],
            user_domain_id=user["domain"]["id"],
            project=Project(project["id"], project["domain"]["id"]) if project else None,
            roles=frozenset(role["name"] for role in said.get("roles") or ()),
            expires_at=datetime.fromisoformat(said["expires_at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(AWAY, why="answer_not_understood") from error
