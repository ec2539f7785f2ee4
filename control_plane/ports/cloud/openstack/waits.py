"""Waits that end early when something is told of what they are about."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Waits:
    """Steps that wait for a server of one region, by our id. Safe to use from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[str, list[threading.Event]] = {}

    @contextmanager
    def watching(self, server_id: str) -> Iterator[threading.Event]:
        """Give an event that is set whenever something is told, from now on: none is missed."""
        told = threading.Event()
        with self._lock:
            self._watches.setdefault(server_id, []).append(told)
        try:
            yield told
        finally:
            with self._lock:
                self._watches[server_id].remove(told)
                if not self._watches[server_id]:
                    del self._watches[server_id]

    def tell(self, server_ids: Iterable[str]) -> None:
        """End the waits for these."""
        with self._lock:
            for server_id in server_ids:
                for told in self._watches.get(server_id, ()):
                    told.set()
