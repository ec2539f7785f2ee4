"""What the framework can't say of our API by itself: problems, keys of POSTs, permissions."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What happened and what to do, in the reader's language (RFC 9457)",
    "required": ["type", "title", "status", "code", "mend", "facts", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "urn:edubba:problem:<code>"},
        "title": {"type": "string", "description": "What happened"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; what a program should look at"},
        "mend": {"type": "string", "description": "What the reader can do"},
        "facts": {"type": "object"},
        "request_id": {"type": "string", "description": "The same as in the logs"},
    },
}
_EXAMPLE = {
    "type": "urn:edubba:problem:quota_exceeded",
    "title": "The quota is too small: servers needs 1, 0 left",
    "status": 409,
    "code": "quota_exceeded",
    "mend": "Choose a smaller size, end a hosting, or ask the data centre for more.",
    "facts": {"resource": "servers", "need": 1, "left": 0},
    "request_id": "web_01k0aaaaaaaaaaaaaaaaaaaaaa",
}
_PROBLEM_ANSWER = {
    "description": "A problem",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": _EXAMPLE,
        }
    },
}
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "New for each wish; the same when it is sent again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "example": "0198c0de-5eed-7000-8000-000000000001",
}


def list_routes(app: FastAPI) -> Iterator[RouteContext]:
    """List every route of the API with its methods, those of included routers too."""
    for route in iter_route_contexts(app.routes):
        if getattr(route, "dependant", None) is not None:
            yield route


class DescribedApi(FastAPI):
    """An application whose OpenAPI document is complete; it is made when it is first asked for."""

    def __init__(self, *, without_key: frozenset[str], **options: Any) -> None:
        super().__init__(**options)
        self._without_key = without_key  # POSTs that take no Idempotency-Key

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        if self.openapi_schema is None:
            _complete(super().openapi(), self._without_key)
        return super().openapi()


def _complete(document: dict[str, Any], without_key: frozenset[str]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for framework in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework, None)
    schemas["Problem"] = PROBLEM
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            answers.pop("422", None)  # the framework's shape, which is not ours
            for status in ("4XX", "5XX"):
                answers.setdefault(status, _PROBLEM_ANSWER)
            if method == "post" and path not in without_key:
                operation.setdefault("parameters", []).append(_KEY)
