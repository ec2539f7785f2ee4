"""The API behind a real uvicorn on a free port of loopback, for what an in-process client hides."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from control_plane.app import Server
from tests.ports import free_port

STARTS_WITHIN_S = 20


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve the application while inside; give its address."""
    port = free_port()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        _await_start(server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(STARTS_WITHIN_S)
        assert not thread.is_alive(), "the server does not stop"


def _await_start(server: Server) -> None:
    waited_until = time.monotonic() + STARTS_WITHIN_S
    while not server.started:
        assert time.monotonic() < waited_until, "the server does not start"
        threading.Event().wait(0.01)
