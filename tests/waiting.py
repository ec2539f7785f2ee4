"""Waiting for what another process does: looked at again and again, never for ever."""

import socket
from collections.abc import Callable
from threading import Event
from time import monotonic

SELDOM_S = 0.5


def wait_until(is_so: Callable[[], object], timeout_s: float = 30.0, every_s: float = 0.05) -> None:
    """Look until it is so; the name of the question is in the error.

    The longer it takes, the less often: what is looked at needs the processor, too.
    """
    begun = monotonic()
    while not is_so():
        waited = monotonic() - begun
        if waited > timeout_s:
            raise TimeoutError(f"not so within {timeout_s} s: {is_so}")
        Event().wait(min(max(every_s, waited / 10), max(every_s, SELDOM_S)))


def can_connect(port: int) -> bool:
    """Whether something listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
