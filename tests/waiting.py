"""Waiting for what another process does: looked at again and again, never for ever."""

import socket
from collections.abc import Callable
from threading import Event
from time import monotonic


def wait_until(is_so: Callable[[], object], timeout_s: float = 30.0, every_s: float = 0.05) -> None:
    """Look until it is so; the name of the question is in the error."""
    end = monotonic() + timeout_s
    while not is_so():
        if monotonic() > end:
            raise TimeoutError(f"not so within {timeout_s} s: {is_so}")
        Event().wait(every_s)


def can_connect(port: int) -> bool:
    """Whether something listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
