"""Celery as the bell: a message carries one id, and losing or doubling it changes nothing."""

import threading
import time
from collections.abc import Iterable

from amqp.exceptions import AMQPError
from celery import Celery
from celery.worker import state
from kombu.exceptions import OperationalError

from control_plane.engine.engine import Engine
from control_plane.kit import metrics
from control_plane.kit.log import get_log

log = get_log("engine")
ADVANCE = "edubba.advance"
WAKE = "edubba.wake"
LOOKS_EVERY_S = 0.5


def new_app(broker_url: str) -> Celery:
    """Return a Celery application for a broker: `memory://` embedded, `amqp://…` in production."""
    app = Celery("edubba", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # nobody commands a worker but its own machine
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2.0,  # the sweep finds what could not be rung for
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0},
        task_default_queue="edubba",
    )
    if broker_url.startswith("memory:"):
        # Celery's default of a second would be most of the delay of a request (FACTS: 20 ms p95).
        app.conf.broker_transport_options = {"polling_interval": 0.02}
    else:
        app.conf.task_default_queue_type = "quorum"
        app.conf.broker_transport_options = {"confirm_publish": True}
        app.conf.worker_detect_quorum_queues = True
    return app


class Consumer:
    """Celery's worker as a thread of this process: it carries the lives that the bell names.

    One at a time in a process: Celery keeps the wish to stop, and the application whose tasks its
    threads look up, in variables of its modules.
    """

    def __init__(self, app: Celery, engine: Engine, threads: int) -> None:
        app.set_default()
        _register(app, engine)
        self._app = app
        self._controller = app.WorkController(
            pool_cls="threads",
            concurrency=threads,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        self._thread = threading.Thread(target=self._controller.start, name="celery", daemon=True)

    def start(self) -> None:
        """Take messages from now on."""
        # An idle loop looks whether to stop only when a timer is due: without one, every 10 s.
        self._controller.timer.call_repeatedly(LOOKS_EVERY_S, _nothing)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still takes messages, or tries to reach the broker."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> bool:
        """Take no more messages; return whether the running tasks ended within the time."""
        state.should_stop = 0  # an exit code; stopping from this thread would share a connection
        if self._app.conf.broker_url.startswith("memory:"):
            for _ in range(2):  # its loop looks up for a message, or every 2 s, and once after
                self._app.send_task(WAKE)
        self._thread.join(timeout_s)
        state.should_stop = None
        return not self._thread.is_alive()


def _register(app: Celery, engine: Engine) -> None:
    # Not shared: another application of this process has an engine of its own.
    @app.task(name=ADVANCE, shared=False)  # type: ignore[untyped-decorator]  # celery ships no types
    def advance(life_id: str, rung_at: float) -> None:
        metrics.BELL_DELAY_SECONDS.observe(max(0.0, time.time() - rung_at))
        engine.advance(life_id)

    app.task(name=WAKE, shared=False)(_nothing)


def _nothing() -> None:
    """Do nothing but wake the loop."""


def publish(app: Celery, life_ids: Iterable[str]) -> None:
    """Ring for each of the lives."""
    for life_id in life_ids:
        app.send_task(ADVANCE, args=(life_id, time.time()))


class BrokerBell:
    """Rings by a message to the broker; one that is away, or refuses, is replaced by the sweep."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, life_ids: Iterable[str]) -> None:
        """Publish one message a life."""
        try:
            publish(self._app, life_ids)
        except (OperationalError, AMQPError) as error:
            log.warning("bell_unheard", reason=str(error))
