"""Visitors that ask all the time, on kept-alive connections, and count what they did not get."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.namespaces import run_inside
from tests.families.world import Hosted

PAUSE_S = 0.01  # some hundred requests a second together, and time left for what they ask


class Visitors:
    """What came of all requests: status codes, and errors by their kind."""

    def __init__(self, hosted: Hosted, path: str) -> None:
        self._address, self._path = str(hosted.spec.address), path
        self._edge = edge_namespace_path(hosted.world.locald.instance)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.seen: Counter[str] = Counter()
        self.bodies: Counter[bytes] = Counter()

    def visit(self) -> None:
        """Ask until it is enough."""
        run_inside(self._edge, self._ask_on)

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=30)
        with closing(connection):
            while not self._stop.wait(PAUSE_S):
                self._ask_once(connection)

    def _ask_once(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            body, result = answer.read(), str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            body, result = b"", type(error).__name__
        with self._lock:
            self.seen[result] += 1
            self.bodies[body] += 1

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def visitors(hosted: Hosted, path: str, count: int = 4) -> Iterator[Visitors]:
    """Let visitors ask while the block runs."""
    found = Visitors(hosted, path)
    threads = [threading.Thread(target=found.visit) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stop()
        for thread in threads:
            thread.join()
