"""The web process: the doors of all rooms, put together around one desk.

Nothing here can reach a cloud, a key or the edge; what must happen outside is a row and a ring.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import APIRouter, FastAPI

from control_plane.identity import api as identity
from control_plane.identity.access import Desk
from control_plane.kit import http, openapi
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

# These two are safe to repeat by nature, and one comes before there is anybody to keep a key for.
WITHOUT_KEY = frozenset({"/v1/login", "/v1/logout"})


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
        max_body_size=http.MAX_BODY_BYTES,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.desk = desk
    http.install(app)
    for router in ROUTERS:
        app.include_router(router)
    openapi.describe(app, WITHOUT_KEY)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # More threads than connections would only wait for each other.
    to_thread.current_default_thread_limiter().total_tokens = POOL_SIZE
    app.state.feed = events.new_feed(app.state.desk)
    async with app.state.feed.running():
        yield
