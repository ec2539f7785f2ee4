"""One poller that feeds all open streams: a thousand readers ask the database once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Generic, Protocol, TypeVar

from anyio import to_thread

from control_plane.kit.errors import Unavailable
from control_plane.kit.log import get_log

log = get_log("feed")
MAX_STREAMS = 200  # each holds a socket and a small queue, no thread and no connection
QUEUE_LENGTH = 1000  # a reader who falls so far behind is cut off, and resumes by its last id
# How far back each poll looks: an id is drawn before its transaction commits.
OVERLAP_S = 10.0
EVERY_S = 0.5


class Identified(Protocol):
    """Something with an id that grows with time."""

    id: str


Item = TypeVar("Item", bound=Identified)
# Gets the topics wanted and a Unix time; returns what came since, by topic, oldest first.
Poll = Callable[[Collection[str], float], Mapping[str, Sequence[Item]]]


class FeedFull(Exception):
    """All places are taken."""


class Feed(Generic[Item]):
    """Lives in one event loop; `running` polls for as long as it is entered."""

    def __init__(
        self, poll: Poll[Item], *, every_s: float = EVERY_S, max_streams: int = MAX_STREAMS
    ) -> None:
        self._poll, self._every_s, self._max_streams = poll, every_s, max_streams
        self._queues: dict[asyncio.Queue[Item | None], str] = {}
        self._is_wanted = asyncio.Event()

    @property
    def open_streams(self) -> int:
        """How many streams are fed."""
        return len(self._queues)

    @contextmanager
    def follow(self, topic: str) -> Iterator[asyncio.Queue[Item | None]]:
        """Give a queue of what comes for a topic; None in it means: cut off, come again.

        The same item can come twice. Raises: FeedFull.
        """
        if len(self._queues) >= self._max_streams:
            raise FeedFull
        queue: asyncio.Queue[Item | None] = asyncio.Queue(QUEUE_LENGTH)
        self._queues[queue] = topic
        self._is_wanted.set()
        try:
            yield queue
        finally:
            self._queues.pop(queue, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Poll while inside; at the end all streams are cut off."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.close()

    def close(self) -> None:
        """Cut all streams off."""
        for queue in list(self._queues):
            self._cut_off(queue)

    async def _run(self) -> None:
        since = time.time() - OVERLAP_S
        while True:
            await self._is_wanted.wait()
            began = time.time()
            topics = set(self._queues.values())
            if not topics:
                self._is_wanted.clear()
                continue
            try:
                fresh = await to_thread.run_sync(self._poll, topics, since)
            except Unavailable as away:
                log.warning("feed_starved", why=away.code)
            else:
                since = began - OVERLAP_S
                self._hand_out(fresh)
            await asyncio.sleep(self._every_s)

    def _hand_out(self, fresh: Mapping[str, Sequence[Item]]) -> None:
        for queue, topic in list(self._queues.items()):
            for item in fresh.get(topic, ()):
                if queue.full():
                    self._cut_off(queue)
                    break
                queue.put_nowait(item)

    def _cut_off(self, queue: asyncio.Queue[Item | None]) -> None:
        self._queues.pop(queue, None)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
