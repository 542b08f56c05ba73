"""A consumer that gets no messages any more and does not know it is looked for every few seconds, and made anew.

RabbitMQ says only once that it has dropped a consumer while the connection lives on. Who misses that waits for ever:
Celery swallows what comes in the moment after it began to consume. A look asks three things, the cheapest first:

1. Has the client library heard that the consumer is cancelled, and forgotten it?
2. Was the consumer's channel closed, and opened again without it?
3. Is the queue there?

Of Redis an acknowledgement that did not arrive is looked for: Celery only writes it in the log, and the transport takes
the message for one that is still being worked on. When as many are lost as may be prefetched, which is one for each
process, it asks for no other, and so never hears that its connection is gone.

The remedy is that of a lost connection: Celery connects, declares and consumes anew, and what runs goes on. An answer
that does not come within the transport's time limit is a lost connection too.
"""

from __future__ import annotations

import time
from typing import Any

from amqp.exceptions import ConsumerCancelled, NotFound
from celery import Celery, bootsteps
from celery.worker.consumer.tasks import Tasks

from jobservice.logs import log_event

LOOK_SECONDS = 3.0
# What cannot be declared or consumed must not be tried in a busy loop.
PAUSE_SECONDS = 1.0


class WatchConsumer(bootsteps.StartStopStep):
    """A step of Celery's consumer, started after each connection and stopped before the next. It lives in its loop."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._entry: Any = None
        self._paused_at = time.monotonic() - PAUSE_SECONDS

    def start(self, consumer: Any) -> None:
        if consumer.connection.transport.driver_type == "amqp":
            channel = consumer.task_consumer.channel
            channel.on_open = _forget_consumers
            # Not of kombu's connection, which opens another one in silence when this one is lost.
            looks = channel.connection.channel()
            self._entry = consumer.hub.call_repeatedly(LOOK_SECONDS, _look, consumer.task_consumer, looks)
        elif consumer.connection.transport.driver_type == "redis":
            acks = WatchedAcks(consumer.task_consumer.channel.qos, consumer.connection_errors)
            self._entry = consumer.hub.call_repeatedly(LOOK_SECONDS, acks.look)

    def stop(self, consumer: Any) -> None:
        """Before a new connection, and when the worker stops, which waits for nothing."""
        if self._entry is not None:
            self._entry.cancel()
        if consumer.blueprint.state == bootsteps.RUN:  # type: ignore[attr-defined]  # the stubs do not know it
            time.sleep(max(0.0, self._paused_at + PAUSE_SECONDS - time.monotonic()))
            self._paused_at = time.monotonic()


class WatchedAcks:
    """The acknowledgements of one Redis channel: stands in for the `ack` of its `QoS`."""

    def __init__(self, qos: Any, connection_errors: tuple[type[Exception], ...]) -> None:
        self._ack = qos.ack
        self._errors = connection_errors
        self._failure: Exception | None = None
        qos.ack = self.ack

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge as before, and remember what prevented it."""
        try:
            self._ack(delivery_tag)
        except self._errors as error:
            self._failure = error
            raise

    def look(self) -> None:
        """Raises what Celery takes for a lost connection."""
        if self._failure is not None:
            log_event("consumer_lost", level="warning", reason="ack-failed")
            raise self._failure


def watch_consumer(app: Celery) -> None:
    """Have the workers of this app watched. Call once, before Celery starts."""
    app.steps["consumer"].add(WatchConsumer)


def _forget_consumers(channel: Any) -> None:
    """The client library opens a channel again that the server has closed, as if its consumers were still there."""
    channel.callbacks.clear()


def _look(task_consumer: Any, looks: Any) -> None:
    """Raises what Celery takes for a lost connection."""
    reason = _find_loss(task_consumer, looks)
    if reason is not None:
        log_event("consumer_lost", level="warning", reason=reason)
        raise ConsumerCancelled(reason)


def _find_loss(task_consumer: Any, looks: Any) -> str | None:
    """`looks` is a channel of its own: a question about a queue that is missing costs the channel it is asked on."""
    if not task_consumer.channel.callbacks:
        return "cancelled"
    try:
        for queue in task_consumer.queues:
            looks.queue_declare(queue.name, passive=True)
    except NotFound:
        return "queue-missing"
    return None
