"""The dispatcher's publisher: a signed message arrives; a broker that is away costs a moment and says "unknown"."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from celery import Celery

from jobservice.celery import transport_options
from jobservice.crypto.message_mac import MessageKey, Ref, create_message_key_file, decode_message, load_message_key
from jobservice.ids import new_id
from tests.stopwatch import Stopwatch
from workers.publisher import RUN_JOBS, Publisher

pytestmark = pytest.mark.deep


@pytest.fixture
def key(tmp_path: Path) -> MessageKey:
    create_message_key_file(tmp_path / "message.key")
    return load_message_key(tmp_path / "message.key")


def make_app(url: str) -> Celery:
    app = Celery("test", broker=url, set_as_current=False)
    app.conf.update(broker_transport_options=transport_options(url, publishes=True), task_publish_retry=False)
    return app


def test_a_published_message_carries_refs_that_verify(key: MessageKey) -> None:
    app = make_app("memory://")
    refs = [Ref(new_id(), new_id(), 3)]
    assert Publisher(app, key).publish(RUN_JOBS, refs, queue="handlers")
    with app.connection_for_read() as connection, connection.SimpleQueue("handlers") as queue:
        message = queue.get(timeout=60)
        message.ack()
    (arguments, _, _) = message.payload
    assert decode_message(arguments[0], key).refs == tuple(refs)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_accepts_and_then_says_nothing_cannot_hang_the_dispatcher(key: MessageKey, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_app(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}//")
        with Stopwatch() as watch:
            assert not Publisher(app, key).publish(RUN_JOBS, [Ref(new_id(), new_id(), 1)], queue="handlers")
        assert watch.moving_seconds < 20


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_unknown_and_not_an_error(key: MessageKey, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    publisher = Publisher(make_app(f"{scheme}://127.0.0.1:{port}//"), key)
    assert not publisher.publish(RUN_JOBS, [Ref(new_id(), new_id(), 1)], queue="handlers")
