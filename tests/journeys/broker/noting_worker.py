"""A worker as `manage.py worker` has Celery run it, but without a database: it takes notes instead of jobs.

`python -m tests.journeys.broker.noting_worker POOL QUEUE NOTES HEARTBEAT_SECONDS HARM`. RabbitMQ does the harm just
after the worker began to consume, when Celery's loop drains the connection for the first time and drops every error.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import django
from amqp import spec
from celery import signals
from celery.worker import loops
from kombu import Queue

from jobservice.celery import app
from tests.journeys.broker.noting import NOTE, READY
from workers.consumer_watch import watch_consumer
from workers.tasks import take_messages

POOLS = {"handlers": ["-P", "prefork", "-O", "fair"], "egress": ["-P", "threads"]}
# Until RabbitMQ's answer to the harm is in the socket.
HARM_SECONDS = 0.3


def main(pool: str, queue: str, notes: str, heartbeat_seconds: str, harm: str) -> None:
    django.setup()
    from workers.management.commands.worker import EGRESS_THREADS, _common_options  # here, because it needs the setup

    take_messages(jobs=lambda _refs: None)
    app.conf.update(task_queues=[Queue(queue)], task_default_queue=queue, broker_heartbeat=int(heartbeat_seconds))

    def write(text: str) -> None:
        # One write, so that threads and processes do not mix their lines.
        descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{text}\n".encode())
        os.close(descriptor)

    @app.task(name=NOTE)
    def note(text: str, seconds: float) -> None:
        time.sleep(seconds)
        write(text)

    def harm_once(consumer: Any) -> None:
        HARMS[harm](consumer, queue)
        time.sleep(HARM_SECONDS)
        write(READY)

    harm_at_drain(harm_once)
    watch_consumer(app)
    options = [*_common_options(pool), "-Q", queue, "--without-heartbeat", "-c", str(EGRESS_THREADS), *POOLS[pool]]
    app.worker_main(options)


def harm_at_drain(moment: Callable[[Any], None]) -> None:
    """Have the moment called, once and with Celery's consumer, when its loop is about to drain the connection."""
    drain = loops._quick_drain  # type: ignore[attr-defined]  # the stubs do not know it
    consumers: list[Any] = []

    def drain_then(connection: Any) -> None:
        if consumers:
            moment(consumers.pop())
        drain(connection)

    loops._quick_drain = drain_then  # type: ignore[attr-defined]  # as above
    signals.worker_ready.connect(lambda sender, **_: consumers.append(sender), weak=False)


def do_nothing(_consumer: Any, _queue: str) -> None:
    return


def delete_queue(consumer: Any, queue: str) -> None:
    with consumer.app.connection_for_write() as connection:
        channel: Any = connection.channel()
        channel.queue_delete(queue)


def delete_queue_unheard(consumer: Any, queue: str) -> None:
    """As if RabbitMQ never said that it has dropped the consumer."""
    channel = consumer.task_consumer.channel
    channel._on_basic_cancel = lambda _tag: None
    channel._callbacks[spec.Basic.Cancel] = channel._on_basic_cancel
    delete_queue(consumer, queue)


def close_channel(consumer: Any, _queue: str) -> None:
    """What nobody delivered is acknowledged, which costs the channel."""
    consumer.task_consumer.channel.basic_ack(4711)


def close_connection(consumer: Any, _queue: str) -> None:
    """A channel is opened twice, which costs the connection."""
    consumer.task_consumer.channel.send_method(spec.Channel.Open, "s", ("",))


HARMS = {
    harm.__name__: harm for harm in (do_nothing, delete_queue, delete_queue_unheard, close_channel, close_connection)
}

if __name__ == "__main__":
    main(*sys.argv[1:])
