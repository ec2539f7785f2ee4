"""The document says what the API does: arbitrary requests get only answers it announces."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_plane.app import WITHOUT_KEY
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.tenancy.queries import find_agency
from tests.api import Api, a_person, an_agency, an_api
from tests.offer import an_offer

Operation = APIOperation[Any, Any, Any, Any]
EXAMPLES = 12  # an operation; `not slow` would be many times that
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def offered(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    file = tmp_path_factory.mktemp("openapi") / "edubba.db"
    file.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{file}")
    with an_api(db) as api:
        an_offer(db)
        an_agency(db)
        yield api
    db.close()


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.OWNER, Role.OPERATOR])
def test_whatever_is_sent_only_what_is_announced_is_answered(offered: Api, role: Role) -> None:
    with offered.db.read() as session:
        agency = find_agency(session, "health") if role == Role.OWNER else None
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", offered.app)
    headers = {"Authorization": f"Bearer {a_person(offered, role, agency).secret}"}
    wrong = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path == "/v1/logout" or "text/event-stream" in str(operation.definition.raw):
            continue  # one ends the others, and streams don't end
        wrong += _ask_anything(operation, headers)
    assert not wrong, "\n".join(wrong)


def _ask_anything(
    operation: APIOperation[Any, Any, Any, Any], headers: dict[str, str]
) -> list[str]:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    try:
        ask()
    except FailureGroup as failures:
        return [f"{operation.label}: {failure}" for failure in failures.exceptions]
    return []


def test_every_post_but_two_announces_its_key_and_every_body_an_example(api: Api) -> None:
    document = api.client.get("/v1/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names = {found["name"] for found in operation.get("parameters", ())}
            takes_key = method == "post" and path not in WITHOUT_KEY
            assert ("Idempotency-Key" in names) == takes_key, path
            assert {"4XX", "5XX"} <= set(operation["responses"]), path
    bodies = {
        body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operations in document["paths"].values()
        for operation in operations.values()
        if (body := operation.get("requestBody")) and "application/json" in body["content"]
    }
    for name in bodies:
        shown = document["components"]["schemas"][name]
        parts = shown["properties"].values()
        assert "examples" in shown or any("examples" in part for part in parts), name
