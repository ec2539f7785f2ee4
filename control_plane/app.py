"""The web process: the doors of all rooms, put together around one desk.

Nothing here can reach a cloud, a key or the edge; what must happen outside is a row and a ring.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI

from control_plane.identity import api as identity
from control_plane.identity.access import Desk
from control_plane.kit import http
from control_plane.kit.db import POOL_SIZE
from control_plane.operations.api import events, health, ledger, lives
from control_plane.tenancy import api as tenancy

# One line a room; the order is that of the document.
ROUTERS: tuple[APIRouter, ...] = (
    identity.router,
    tenancy.router,
    lives.router,
    events.router,
    ledger.router,
    health.router,
)

_PROBLEM: dict[str, Any] = {
    "description": "What happened and what to do, in the reader's language (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": {
                "type": "urn:edubba:problem:quota_exceeded",
                "title": "The quota is too small: servers needs 1, 0 left",
                "status": 409,
                "code": "quota_exceeded",
                "mend": "Choose a smaller size, end a hosting, or ask the data centre for more.",
                "facts": {"resource": "servers", "need": 1, "left": 0},
                "request_id": "web_01k0aaaaaaaaaaaaaaaaaaaaaa",
            },
        }
    },
}


def create_app(desk: Desk) -> FastAPI:
    """Return the application around a desk; whoever made the desk's database closes it."""
    app = FastAPI(
        title="Edubba",
        summary="A self-hosted hosting control plane for a national data centre",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they would fetch scripts from outside
        redoc_url=None,
        lifespan=_lifespan,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
        max_body_size=http.MAX_BODY_BYTES,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.desk = desk
    http.install(app)
    for router in ROUTERS:
        app.include_router(router)
    _describe_problems(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # More threads than connections would only wait for each other.
    to_thread.current_default_thread_limiter().total_tokens = POOL_SIZE
    app.state.feed = events.new_feed(app.state.desk)
    async with app.state.feed.running():
        yield


def _describe_problems(app: FastAPI) -> None:
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = http.PROBLEM_SCHEMA
    for operation in (op for path in document["paths"].values() for op in path.values()):
        operation["responses"].pop("422", None)  # the framework's shape, which is not ours
