"""Waiting for what the kernel or another process does in its own time."""

import time
from collections.abc import Callable

_STEP_S = 0.02


def wait_until(is_so: Callable[[], bool], timeout_s: float) -> bool:
    """Ask again and again until it is so; False if it is not after the time given."""
    end = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(_STEP_S)
    return True
