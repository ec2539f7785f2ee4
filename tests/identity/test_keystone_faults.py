"""What comes of a Keystone that hangs, lies or is broken: a 503 in time, and nobody let in."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import pytest

from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.kit.errors import Unavailable
from control_plane.ports.identity_source.keystone import (
    TIMEOUT,
    KeystoneSource,
    read_credential,
)
from tests.api import a_person, an_api
from tests.serving import served

FLOOD = 24  # clients that ask again at once
MOST_S = 0.75  # a busy machine's; it took 7 s while they waited in the threads of everybody
WHOLE = b'{"token": {"expires_at": "2999-01-01T00:00:00Z", "user": {"id": "u", "name": "n"}}}'


@pytest.fixture
def broken() -> Iterator[Callable[[int, bytes], tuple[str, list[str]]]]:
    """Serve one answer to everything; give the address, and a list of what was asked."""
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int, body: bytes) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_said: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"token": {}}'),
        (200, WHOLE),  # without the user's domain
        (204, b""),
        (302, b""),
        (403, b"{}"),
        (500, b"{}"),
        (503, b"{}"),
    ],
)
def test_an_answer_that_says_nothing_clear_lets_nobody_in(
    broken: Callable[[int, bytes], tuple[str, list[str]]], status: int, body: bytes
) -> None:
    url, asked = broken(status, body)
    source = KeystoneSource(url)
    with pytest.raises(Unavailable, match="identity_source_unavailable"):
        source.verify("gAAAA")
    assert asked == ["/v3/auth/tokens?nocatalog="], "a token is never sent elsewhere"
    source.close()


def test_one_that_hangs_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        source = KeystoneSource(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        begun = monotonic()
        with pytest.raises(Unavailable):
            source.verify("gAAAA")
        source.close()
    assert TIMEOUT.read is not None
    assert monotonic() - begun < TIMEOUT.read + 2


def test_what_is_wrong_with_a_credential_is_said_without_it(tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    for text in (
        "clouds: {web: {auth: {password: s3cret}}}",
        "clouds: {web: {auth: {password: 's3cret}}}",
        "s3cret",
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match="has no credential under clouds/web/auth") as caught:
            read_credential(file, "web")
        assert "s3cret" not in f"{caught.value}{caught.value.__cause__}"
        assert caught.value.__suppress_context__


def test_a_credential_may_be_an_application_credential_or_for_the_system(tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text(
        "clouds:\n"
        "  app: {auth: {application_credential_id: a, application_credential_secret: s}}\n"
        "  sys: {auth: {username: u, user_domain_name: Default, password: p, system_scope: all}}\n"
    )
    identity = read_credential(file, "app")["identity"]
    assert identity["application_credential"] == {"id": "a", "secret": "s"}
    said = read_credential(file, "sys")
    assert said["scope"] == {"system": {"all": True}}
    user = {"name": "u", "domain": {"name": "Default"}, "password": "p"}
    assert said["identity"]["password"]["user"] == user


def test_a_flood_of_tokens_for_one_that_hangs_does_not_stop_others(sqlite_db: Database) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as deaf:
        source = KeystoneSource(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with an_api(sqlite_db, identity_source=source) as api, served(api.app) as url:
            own = {"Authorization": f"Bearer {a_person(api, Role.AUDITOR).secret}"}
            is_over = threading.Event()

            def flood(number: int) -> None:
                foreign = {"X-Auth-Token": f"gAAAA{number}"}
                with httpx2.Client(base_url=url, headers=foreign, timeout=60) as client:
                    while not is_over.is_set():
                        assert client.get("/v1/me").status_code == 503

            with ThreadPoolExecutor(FLOOD) as pool, httpx2.Client(base_url=url) as client:
                floods = [pool.submit(flood, number) for number in range(FLOOD)]
                took = []
                for _ in range(10):
                    begun = monotonic()
                    assert client.get("/v1/me", headers=own, timeout=60).status_code == 200
                    took.append(monotonic() - begun)
                is_over.set()
                for one in floods:
                    one.result()
        source.close()
    assert sorted(took)[len(took) // 2] < MOST_S, took
