"""People who use the API as a pipeline would: over HTTP, with a token."""

import json
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.stories.cli import Account


@dataclass(frozen=True, slots=True)
class Told:
    """What the API answered."""

    status: int
    json: Any


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has logged in."""

    url: str
    account: Account
    token: str = ""
    language: str = "en"

    def get(self, path: str) -> Any:
        return self._done("GET", path)

    def post(self, path: str, body: object = None) -> Any:
        return self._done("POST", path, body)

    def put(self, path: str, body: object) -> Any:
        return self._done("PUT", path, body)

    def send(self, path: str, file: Path) -> None:
        """Upload a file's bytes as they are."""
        told = self.try_("PUT", f"{path}?size={file.stat().st_size}", file.read_bytes())
        assert told.status < 300, told

    def try_(self, method: str, path: str, body: object = None) -> Told:
        """Ask, and take any answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept-Language": self.language}
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        headers["Content-Type"] = (
            "application/octet-stream" if isinstance(body, bytes) else "application/json"
        )
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        if method == "PUT":
            headers["If-Match"] = "*"
        request = urllib.request.Request(
            self.url + path, None if method == "GET" else data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Told(answer.status, _read(answer.read()))
        except urllib.error.HTTPError as error:
            return Told(error.code, _read(error.read()))

    def _done(self, method: str, path: str, body: object = None) -> Any:
        told = self.try_(method, path, body)
        assert told.status < 300, (method, path, told)
        return told.json


def _read(body: bytes) -> Any:
    return json.loads(body) if body else None


def log_in(url: str, account: Account, language: str = "en") -> Person:
    """Trade a password for a token."""
    stranger = Person(url, account, language=language)
    told = stranger.try_(
        "POST", "/v1/login", {"email": account.email, "password": account.password}
    )
    assert told.status == 200, told
    return replace(stranger, token=told.json["token"])
