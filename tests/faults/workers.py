"""The real worker, with its threads, its sweep and its broker, around a world in memory."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, cast

from pydantic import SecretStr

from control_plane.engine.bell import Bell
from control_plane.kit.db import Database
from control_plane.ports.bundle import Ports
from control_plane.settings import Settings
from control_plane.worker import GRACE_S, Worker
from tests.faults.world import ZONE


@contextmanager
def a_worker(db: Database, ports: Ports, **more: Any) -> Iterator[Worker]:
    """Give a worker that has not begun; when it is done with, nothing of it runs any more."""
    with TemporaryDirectory() as folder:  # a short path: the bell is a socket in it
        (Path(folder) / "bell").mkdir()
        settings = Settings(
            instance="faults",
            zone=ZONE,
            cloud="memory",
            state_dir=Path(folder),
            run_dir=Path(folder),
            database_url=SecretStr(db.url.render_as_string(hide_password=False)),
            **more,
        )
        yield Worker(settings, db, ports)


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    thread = Thread(target=worker.run, name="worker")
    thread.start()
    try:
        yield
        assert thread.is_alive()
    finally:
        worker.stop()
        thread.join(GRACE_S + 5)
    assert not thread.is_alive()


class FiveTimes:
    """A bell that rings each life five times at once."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    def ring(self, life_ids: Iterable[str]) -> None:
        self._bell.ring([one for one in life_ids for _ in range(5)])


class CountingPort:
    """A port whose calls are counted by verb; `before_return` may hold each of them up."""

    def __init__(self, target: object, before_return: Callable[[str], object]) -> None:
        self._target, self._before_return = target, before_return
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._target, verb)

        def call(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                self.calls[verb] += 1
            told = method(*arguments, **named)
            self._before_return(verb)
            return told

        return call


def counting(ports: Ports, before_return: Callable[[str], object]) -> tuple[Ports, CountingPort]:
    """Return ports whose cloud is counted, and that cloud."""
    [(region_id, target)] = ports.clouds.items()
    cloud = CountingPort(target, before_return)
    return replace(ports, clouds={region_id: cast("Any", cloud)}), cloud
