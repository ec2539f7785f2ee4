"""Lanes: how many steps may run at once of lives that depend on the same thing outside.

A region that does not answer holds up each step that asks it, until a time-out. It may hold as
many threads as its lane has places; the lives of other lanes find the rest.
"""

import threading

MAX_WAITING = 10_000  # of a lane; the sweep finds the others again


class Lanes:
    """Places in lanes; what finds its lane full waits in a line. Safe to use from all threads."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        self._lines: dict[str, dict[str, None]] = {}  # by lane, in the order of coming

    def enter(self, lane: str, life_id: str) -> bool:
        """Take a place, which `leave` gives back; False: there is none, and the life waits."""
        with self._lock:
            taken = self._taken.get(lane, 0)
            if taken < self._places:
                self._taken[lane] = taken + 1
                return True
            line = self._lines.setdefault(lane, {})
            if len(line) < MAX_WAITING:
                line[life_id] = None
            return False

    def leave(self, lane: str) -> str | None:
        """Give a place back; return the life that has waited longest for it: ring for that one."""
        with self._lock:
            self._taken[lane] -= 1
            line = self._lines.get(lane)
            if not line:
                return None
            first = next(iter(line))
            del line[first]
            return first

    def list_waiting(self) -> frozenset[str]:
        """Return which lives wait for lanes that are full.

        What waits for a lane that has places is forgotten here: its ring went to another worker.
        """
        with self._lock:
            full = {lane for lane, taken in self._taken.items() if taken >= self._places}
            self._lines = {lane: line for lane, line in self._lines.items() if lane in full}
            return frozenset(life_id for line in self._lines.values() for life_id in line)
