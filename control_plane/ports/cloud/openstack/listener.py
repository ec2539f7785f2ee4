"""Hears what a cloud publishes of its servers, ports and volumes, and tells whom it is about.

Nothing depends on it: what is not heard is seen by looking. It holds one connection and some
messages, makes no queue, and comes back by itself, later each time that it is in vain.
"""

import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amqp.exceptions import AMQPError, NotFound
from kombu import Connection, Consumer, Queue
from kombu.exceptions import KombuError
from pydantic import SecretStr

from control_plane.kit.log import get_log
from control_plane.kit.metrics import NOTIFICATIONS, NOTIFICATIONS_HEARD
from control_plane.ports.cloud.openstack.notices import ids_of

log = get_log("notifications")
AT_ONCE = 100  # messages that the broker sends ahead
LOOKS_EVERY_S = 0.5  # how soon the end of the process is seen
LOOKS_FOR_QUEUES_EVERY_S = 5.0  # a cloud makes one with the first message that goes there
EACH_AT_MOST_EVERY_S = 0.2  # of one thing: a change comes as several messages
MAX_WAITING = 10_000  # ids; what comes above is left to looking
HEARTBEAT_S = 30
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 1.0, 60.0
TROUBLE = (OSError, AMQPError, KombuError)
Tell = Callable[[frozenset[str]], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a region's notifications are. `url` has the password of a user who may only read.

    With `amqps` the broker's certificate is verified, by `ca_file` or what the machine trusts.
    """

    region: str
    url: SecretStr
    queues: Sequence[str]
    ca_file: Path | None = None

    def connect(self) -> Connection:
        """Return a connection that is not open yet."""
        url = self.url.get_secret_value()
        secure: dict[str, Any] = {}
        if url.startswith("amqps:"):
            trusted = {"ca_certs": str(self.ca_file)} if self.ca_file else {}
            host = Connection(url).hostname
            secure = {"ssl": {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host, **trusted}}
        return Connection(url, heartbeat=HEARTBEAT_S, connect_timeout=5.0, **secure)


@dataclass
class Pace:
    """Whom to tell of, and when: several messages make one, and none is told of too often."""

    waiting: set[str] = field(default_factory=set)
    _told: dict[str, float] = field(default_factory=dict)

    def add(self, ids: frozenset[str]) -> None:
        """Remember whom something happened to."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting |= ids

    def take(self, now: float) -> frozenset[str]:
        """Return whose turn it is."""
        since = now - EACH_AT_MOST_EVERY_S
        self._told = {one: at for one, at in self._told.items() if at > since}
        taken = frozenset(self.waiting - self._told.keys())
        self.waiting -= taken
        self._told.update(dict.fromkeys(taken, now))
        return taken


class Listener:
    """Listens to one region; `tell` is called in its thread with our ids."""

    def __init__(self, source: Source, tell: Tell) -> None:
        self._source, self._tell = source, tell
        self._pace = Pace()

    def run(self, stopped: threading.Event) -> None:
        """Listen until stopped, whatever becomes of the broker."""
        region, pause = self._source.region, FIRST_BACK_OFF_S
        while not stopped.is_set():
            began = time.monotonic()
            try:
                self._listen(stopped)
            except TROUBLE as error:
                # Never the URL, which has the password: the broker's own words at most.
                log.warning("notifications_away", region=region, why=str(error)[:200])
            finally:
                NOTIFICATIONS_HEARD.labels(region).set(0)
            if time.monotonic() - began > LONGEST_BACK_OFF_S:
                pause = FIRST_BACK_OFF_S
            stopped.wait(pause * random.uniform(0.75, 1.25))  # noqa: S311  # no secret
            pause = min(2 * pause, LONGEST_BACK_OFF_S)

    def _listen(self, stopped: threading.Event) -> None:
        with self._source.connect() as connection:
            absent = set(self._source.queues)
            looked = beat = -LONGEST_BACK_OFF_S
            while not stopped.is_set():
                now = time.monotonic()
                if absent and now - looked > LOOKS_FOR_QUEUES_EVERY_S:
                    absent, looked = self._consume(connection, absent), now
                if now - beat > HEARTBEAT_S / 4:
                    connection.heartbeat_check()
                    beat = now
                pause = EACH_AT_MOST_EVERY_S if self._pace.waiting else LOOKS_EVERY_S
                with suppress(TimeoutError):  # nothing was said
                    connection.drain_events(timeout=pause)
                taken = self._pace.take(time.monotonic())
                if taken:
                    self._tell(taken)

    def _consume(self, connection: Connection, names: set[str]) -> set[str]:
        """Listen to these queues; return those that are not there, as nothing was told yet."""
        absent = set()
        for name in sorted(names):
            channel = connection.channel()  # one each: a queue that is missing ends its channel
            queue = Queue(name, no_declare=True)
            consumer = Consumer(
                channel, [queue], on_message=self._hear, prefetch_count=AT_ONCE, accept=[]
            )
            try:
                consumer.consume()
            except NotFound:
                absent.add(name)
                continue
            NOTIFICATIONS_HEARD.labels(self._source.region).set(1)
            log.info("notifications_heard", region=self._source.region, queue=name)
        return absent

    def _hear(self, message: Any) -> None:
        body = message.body  # text where the broker's frames were decoded already
        try:
            ids = ids_of(body.encode() if isinstance(body, str) else bytes(body))
        except ValueError:
            ids, result = frozenset(), "unreadable"
        else:
            result = "ours" if ids else "others"
        NOTIFICATIONS.labels(self._source.region, result).inc()
        self._pace.add(ids)
        message.ack()  # told or not: a hint that is lost costs a pause
