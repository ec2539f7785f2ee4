"""Fences of this worker: who has lost a lease changes nothing in the cloud.

OpenStack's APIs know no fences. Within a process the newest counter of each life is kept here;
inside a server its own program keeps them; between processes the lease that is read again before
anything is destroyed has to do.
"""

import threading

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.port import Fence


class Fences:
    """The newest counter of each life that this process has seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, int] = {}

    def check(self, fence: Fence) -> None:
        """Remember the counter. Raises Refused (`stale_fence`) for an older one."""
        with self._lock:
            if fence.counter < self._counters.get(fence.life_id, 0):
                raise Refused("stale_fence", life=fence.life_id, counter=fence.counter)
            self._counters[fence.life_id] = fence.counter
