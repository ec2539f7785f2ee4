"""Logs in, makes a token, sends secrets to wrong places and crashes, with logs as installed.

Run as a process of its own, because logging is set up once a process. Writes the secrets that it
was given to the file named second, one a line.
"""

import logging
import sys
from pathlib import Path

from starlette.testclient import TestClient

import control_plane.migrations.tables  # noqa: F401  # every table, before any is asked
from control_plane.app import create_app
from control_plane.identity import actions
from control_plane.identity.rules import Role
from control_plane.kit import passwords
from control_plane.kit.db import Database
from control_plane.kit.log import configure
from control_plane.ledger.rules import SYSTEM
from control_plane.ports.identity_source.memory import MemoryIdentitySource
from control_plane.ports.identity_source.port import Project
from tests.api import Api, an_agency, an_api

SECRET = "canary-6d1f-correct-horse"


def _use_everything(api: Api, source: MemoryIdentitySource) -> list[str]:
    agency = an_agency(api.db)
    with api.db.begin() as session:
        new = actions.NewPerson("noor@example.iq", "Noor", "en", passwords.hash_password(SECRET))
        person = actions.create_person(session, SYSTEM, new)
        actions.grant_role(session, SYSTEM, person.id, Role.OWNER, agency.id)
    login = {"email": "noor@example.iq", "password": SECRET}
    token = str(api.client.post("/v1/login", json=login).json()["token"])
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    made = api.client.post("/v1/tokens", json={"name": "pipeline"}, headers=headers).json()
    api.client.get(f"/v1/me?leaked={SECRET}", headers=headers)
    api.client.post("/v1/login", json={"email": SECRET, "password": {"nested": SECRET}})
    api.client.post(f"/v1/nowhere/{SECRET}", content=SECRET.encode())
    foreign = source.issue("u1", Project("p1", "default"), "member")
    for source.is_away in (False, True):
        api.client.get("/v1/me", headers={"X-Auth-Token": foreign})
    return [SECRET, token, str(made["secret"]), foreign]


def _crash(api: Api) -> None:
    app = create_app(api.desk)

    @app.get("/crash")
    def crash() -> None:
        canary = SECRET[:]
        raise LookupError(len(canary))

    with TestClient(app) as client:
        client.get("/crash")


def main(database: str, secrets: str) -> None:
    """Do it all."""
    configure(json_lines=True, level="DEBUG")
    for client in ("httpx2", "httpcore2"):  # the test's own client tells where it goes
        logging.getLogger(client).setLevel("WARNING")  # noqa: TID251
    db = Database(f"sqlite:///{database}")
    source = MemoryIdentitySource()
    with an_api(db, identity_source=source) as api:
        Path(secrets).write_text("\n".join(_use_everything(api, source)))
        _crash(api)
    db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
