"""The web process: the doors of all rooms, put together around one desk.

Nothing here can reach a cloud, a key or the edge; what must happen outside is a row and a ring.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from socket import socket

import uvicorn
from anyio import to_thread
from fastapi import APIRouter, FastAPI

from control_plane.blueprints import api as blueprints
from control_plane.engine import tasks
from control_plane.engine.bell import BackgroundBell, Bell, DatagramBell
from control_plane.hosting import api as hosting
from control_plane.identity import api as identity
from control_plane.identity.access import Desk
from control_plane.kit import http, openapi
from control_plane.kit.db import POOL_SIZE, Database
from control_plane.kit.log import configure
from control_plane.migrations.run import is_at_head
from control_plane.operations.api import events, health, ledger, lives
from control_plane.ports.blobs.files import FileBlobs
from control_plane.ports.identity_source.cached import CachedIdentitySource
from control_plane.ports.identity_source.keystone import KeystoneSource, read_credential
from control_plane.ports.identity_source.port import IdentitySource
from control_plane.releases import api as releases
from control_plane.settings import Settings
from control_plane.tenancy import api as tenancy

# One line a room; the order is that of the document.
ROUTERS: tuple[APIRouter, ...] = (
    identity.router,
    tenancy.router,
    blueprints.router,
    releases.router,
    *hosting.ROUTERS,
    lives.router,
    events.router,
    ledger.router,
    health.router,
)

# These are safe to repeat by nature, and one comes before there is anybody to keep a key for.
WITHOUT_KEY = frozenset({"/v1/login", "/v1/logout", "/v1/hostings/{reference}/logs/collections"})
GRACE_S = 5  # for what is being answered
HEARTBEAT_LATE_S = 15.0  # the sweep comes every second


def create_app(desk: Desk) -> FastAPI:
    """Return the application around a desk; whoever made the desk's database closes it."""
    app = openapi.DescribedApi(
        without_key=WITHOUT_KEY,
        title="Edubba",
        summary="A self-hosted hosting control plane for a national data centre",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they would fetch scripts from outside
        redoc_url=None,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.desk = desk
    http.install(app)
    for router in ROUTERS:
        app.include_router(router, max_body_size=http.MAX_BODY_BYTES)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # More threads than connections would only wait for each other.
    to_thread.current_default_thread_limiter().total_tokens = POOL_SIZE
    app.state.feed = events.new_feed(app.state.desk)
    async with app.state.feed.running():
        yield


def new_desk(settings: Settings, db: Database) -> Desk:
    """Return the desk of an installation."""
    return Desk(
        db=db,
        bell=_new_bell(settings),
        blobs=FileBlobs(settings.blobs_dir),
        identity_source=_new_identity_source(settings),
        zone=settings.zone,
        is_loopback_zone=settings.is_loopback_zone,
        retention_days=settings.retention_days,
        checks={
            "migrations": partial(is_at_head, db),
            "sweep": partial(_was_touched, settings.heartbeat_file),
        },
        targets={
            "web": f"{settings.bind_host}:{settings.bind_port}",
            "worker": f"127.0.0.1:{settings.worker_metrics_port}",
            "edge": f"127.0.0.1:{settings.edge_metrics_port}",
        },
    )


def _new_bell(settings: Settings) -> Bell:
    # The worker's memory:// broker is its own, so it is rung beside it, on the same machine.
    if settings.is_embedded:
        return DatagramBell(settings.bell_socket)
    broker = tasks.new_app(settings.broker_url.get_secret_value())
    return BackgroundBell(tasks.BrokerBell(broker))


def _new_identity_source(settings: Settings) -> IdentitySource | None:
    if not settings.keystone_url:
        return None
    credential, authorities = None, None
    if settings.keystone_clouds_file != Path():
        credential = read_credential(settings.keystone_clouds_file, settings.keystone_entry)
    if settings.keystone_ca_file != Path():
        authorities = settings.keystone_ca_file
    source = KeystoneSource(settings.keystone_url, credential, authorities)
    return CachedIdentitySource(source)


class Server(uvicorn.Server):
    """Ends the event streams first when told to stop: by themselves they would go on."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop serving."""
        self.config.app.state.feed.close()  # type: ignore[union-attr]  # ours, never a name of one
        await super().shutdown(sockets)


def main() -> None:
    """Serve until told to stop."""
    settings = Settings()
    configure(json_lines=settings.json_logs, level=settings.log_level)
    db = Database(settings.database_url.get_secret_value())
    config = uvicorn.Config(
        create_app(new_desk(settings, db)),
        host=settings.bind_host,
        port=settings.bind_port,
        access_log=False,  # ours knows routes instead of paths, and no query strings
        log_config=None,
        server_header=False,
        forwarded_allow_ips="127.0.0.1",
        timeout_graceful_shutdown=GRACE_S,
    )
    try:
        Server(config).run()
    finally:
        db.close()


def _was_touched(heartbeat: Path) -> bool:
    try:
        age_s = time.time() - heartbeat.stat().st_mtime
    except OSError:
        return False
    return age_s < HEARTBEAT_LATE_S


if __name__ == "__main__":
    main()
