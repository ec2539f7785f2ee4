"""Celery as the bell: a message carries one id, and losing or doubling it changes nothing."""

import time
from collections.abc import Iterable

from celery import Celery
from kombu.exceptions import OperationalError

from control_plane.engine.engine import Engine
from control_plane.kit import metrics
from control_plane.kit.log import get_log

log = get_log("engine")
ADVANCE = "edubba.advance"


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
        broker_connection_retry_on_startup=True,
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


def register(app: Celery, engine: Engine) -> None:
    """Let this process carry lives when the bell rings."""

    @app.task(name=ADVANCE)  # type: ignore[untyped-decorator]  # celery ships no types
    def advance(life_id: str, rung_at: float) -> None:
        metrics.BELL_DELAY_SECONDS.observe(max(0.0, time.time() - rung_at))
        engine.advance(life_id)


def publish(app: Celery, life_ids: Iterable[str]) -> None:
    """Ring for each of the lives."""
    for life_id in life_ids:
        app.send_task(ADVANCE, args=(life_id, time.time()))


class BrokerBell:
    """Rings by a message to the broker; one that is away is replaced by the sweep."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, life_ids: Iterable[str]) -> None:
        """Publish one message a life."""
        try:
            publish(self._app, life_ids)
        except OperationalError as error:
            log.warning("bell_unheard", reason=str(error))
