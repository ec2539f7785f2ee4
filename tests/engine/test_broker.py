"""The bell over a real RabbitMQ: it wakes at once, and its absence costs nothing but time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from control_plane.engine import tasks
from control_plane.engine.bell import BackgroundBell
from control_plane.engine.engine import Engine
from control_plane.kit import metrics
from tests.engine.toy import SUBJECT, Bench
from tests.rabbitmq import Broker, a_broker
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with a_broker() as running:
        yield running


@contextmanager
def _listening(broker: Broker, engine: Engine) -> Iterator[None]:
    """Let a worker without a sweep hear the bell."""
    consumer = tasks.Consumer(tasks.new_app(broker.url), engine, threads=2)
    consumer.start()
    try:
        yield
    finally:
        assert consumer.stop(20)


def _rings() -> float:
    [family] = metrics.BELL_DELAY_SECONDS.collect()
    return next(s.value for s in family.samples if s.name.endswith("_count"))


def test_a_ring_of_the_web_process_wakes_the_worker_through_the_broker(
    bench: Bench, broker: Broker
) -> None:
    bell = BackgroundBell(tasks.BrokerBell(tasks.new_app(broker.url)))
    with _listening(broker, bench.first):
        bell.ring([bench.life_id])
        wait_until(lambda: bench.life().step == "rest")
    assert bench.world.values == {SUBJECT: 1}


def test_rings_that_come_five_times_at_once_carry_the_life_once(
    bench: Bench, broker: Broker
) -> None:
    bell = tasks.BrokerBell(tasks.new_app(broker.url))
    before = _rings()
    with _listening(broker, bench.first):
        for _ in range(5):
            bell.ring([bench.life_id])
        wait_until(lambda: _rings() == before + 5 and bench.life().step == "rest")
    assert bench.events() == ["step_finished", "step_finished"]


def test_a_ring_while_the_broker_is_away_is_lost_and_later_ones_are_heard(
    bench: Bench, broker: Broker
) -> None:
    publisher = tasks.BrokerBell(tasks.new_app(broker.url))
    with _listening(broker, bench.first):
        publisher.ring([])
        broker.stop()
        publisher.ring([bench.life_id])  # raises nothing
        assert bench.life().step == "make"
        broker.start()
        publisher.ring([bench.life_id])
        wait_until(lambda: bench.life().step == "rest", 60)


def test_a_broker_that_refuses_the_product_stops_no_request(bench: Bench, broker: Broker) -> None:
    stranger = broker.url.replace(broker.password, "wrong")
    tasks.BrokerBell(tasks.new_app(stranger)).ring([bench.life_id])  # raises nothing
    assert bench.life().step == "make"
