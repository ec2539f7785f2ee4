"""A busy hour does not stop the process: more connections than threads, threads than sessions."""

import asyncio
import time

import httpx2
import pytest

from control_plane.app import create_app
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from tests.api import User, a_person, an_agency, an_api
from tests.serving import served

CONNECTIONS = 128
SECONDS = 4.0


@pytest.mark.slow
def test_128_connections_are_answered_all_the_time_and_the_process_stops_when_told(
    db: Database,
) -> None:
    with an_api(db) as api:
        owner = a_person(api, Role.OWNER, an_agency(db))
        with served(create_app(api.desk)) as url:
            answers = asyncio.run(_load(url, owner))
    assert set(answers) == {200, 201}
    assert len(answers) > 2 * CONNECTIONS


async def _load(url: str, user: User) -> list[int]:
    ends_at = time.monotonic() + SECONDS
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    headers = {"Authorization": f"Bearer {user.secret}"}
    client = httpx2.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60)
    async with client:

        async def visit(number: int) -> list[int]:
            seen: list[int] = []
            while time.monotonic() < ends_at:
                if number % 4:
                    answer = await client.get("/v1/agencies/health")
                else:
                    key = {"Idempotency-Key": f"{number}-{len(seen)}"}
                    answer = await client.post("/v1/tokens", json={"name": "x"}, headers=key)
                seen.append(answer.status_code)
            return seen

        rounds = await asyncio.gather(*(visit(number) for number in range(CONNECTIONS)))
    return [status for seen in rounds for status in seen]
