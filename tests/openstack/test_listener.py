"""Notifications over a real RabbitMQ: heard by a user who may only read, and never needed."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue as Box

import kombu
import pytest
from pydantic import SecretStr

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.listener import Listener, Source
from control_plane.ports.cloud.openstack.notices import MAX_BYTES
from tests.rabbitmq import Broker, a_broker

pytestmark = pytest.mark.slow
INFO = "notifications.info"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with a_broker() as running:
        running.make_reader("reader", r"^notifications\..*$")
        running.make_cloud("cloud")
        yield running


class Heard:
    def __init__(self) -> None:
        self.box: Box[str] = Box()

    def tell(self, ids: frozenset[str]) -> None:
        for one in ids:
            self.box.put(one)


@contextmanager
def _listening(broker: Broker) -> Iterator[Heard]:
    heard, stopped = Heard(), threading.Event()
    source = Source("baghdad", SecretStr(broker.url_of("reader")), [INFO, "notifications.error"])
    thread = threading.Thread(target=Listener(source, heard.tell).run, args=(stopped,))
    thread.start()
    try:
        yield heard
    finally:
        stopped.set()
        thread.join(10)
        assert not thread.is_alive()


def _publish(broker: Broker, *bodies: bytes) -> None:
    with kombu.Connection(broker.url_of("cloud")) as connection:
        queue = kombu.Queue(INFO, kombu.Exchange("nova"), routing_key=INFO)
        producer = connection.Producer()
        for body in bodies:
            producer.publish(
                body,
                content_type="application/json",
                content_encoding="utf-8",
                exchange=queue.exchange,
                routing_key=INFO,
                declare=[queue],
            )


def _message(server_id: str) -> bytes:
    payload = {"display_name": server_id}
    told = json.dumps({"event_type": "compute.instance.create.end", "payload": payload})
    return json.dumps({"oslo.version": "2.0", "oslo.message": told}).encode()


def _is_empty(broker: Broker) -> bool:
    with kombu.Connection(broker.url_of("cloud")) as connection:
        told = connection.channel().queue_declare(INFO, passive=True)
        return bool(told.message_count == 0)


def test_what_a_cloud_publishes_is_heard_and_acknowledged(broker: Broker) -> None:
    server = new_id("hst")
    _publish(broker, b"no JSON", b"x" * (MAX_BYTES + 1), b"[]", _message(server))
    with _listening(broker) as heard:
        assert heard.box.get(timeout=10) == server
    assert _is_empty(broker)


def test_a_broker_that_was_away_is_heard_again(broker: Broker) -> None:
    one, other = new_id("hst"), new_id("hst")
    with _listening(broker) as heard:
        _publish(broker, _message(one))
        assert heard.box.get(timeout=10) == one
        broker.stop()
        broker.start()
        _publish(broker, _message(other))
        assert heard.box.get(timeout=30) == other


def test_a_queue_that_is_not_there_yet_is_waited_for(broker: Broker) -> None:
    with kombu.Connection(broker.url_of("cloud")) as connection:
        connection.channel().queue_delete(INFO)
    server = new_id("hst")
    with _listening(broker) as heard:
        threading.Event().wait(1.5)  # it has been in vain by now
        _publish(broker, _message(server))
        assert heard.box.get(timeout=30) == server
