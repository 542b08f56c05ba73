"""The dispatcher's way to the broker: signed messages with a time limit. The only publisher there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu import Producer

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import MessageKey, Ref, encode_message
from jobservice.logs import log_event

RUN_JOBS, SEND_DELIVERIES = "run_jobs", "send_deliveries"
KINDS = {RUN_JOBS: "jobs", SEND_DELIVERIES: "deliveries"}


class Publisher:
    """Publishes refs to a queue over one connection of its own."""

    def __init__(self, app: Celery, key: MessageKey) -> None:
        self._app = app
        self._key = key
        self._producer: Producer | None = None

    def publish(self, task: str, refs: Sequence[Ref], *, queue: str) -> bool:
        """Send one message. False means unknown: it may arrive after all, so nothing is undone; its lease will end."""
        message: dict[str, Any] = encode_message(KINDS[task], refs, self._key)
        crash_point("dispatch.before_publish")
        try:
            self._app.send_task(
                task, args=[message], queue=queue, retry=False, ignore_result=True, producer=self._open_producer()
            )
        except Exception as error:  # noqa: BLE001 (every transport has errors of its own, and each means the same)
            name = type(error).__name__
            log_event("publish_unknown", level="warning", pool=_pool(task, queue), count=len(refs), error_class=name)
            self._drop_connection()
            return False
        crash_point("dispatch.published")
        log_event("message_published", level="debug", pool=_pool(task, queue), count=len(refs))
        return True

    def _open_producer(self) -> Producer:
        if self._producer is None:
            self._producer = self._app.amqp.Producer(self._app.connection_for_write(), auto_declare=False)
        return self._producer

    def _drop_connection(self) -> None:
        """A connection that failed once is not asked again."""
        if self._producer is not None and self._producer.connection is not None:
            self._producer.connection.close()
        self._producer = None


def _pool(task: str, queue: str) -> str:
    """Deliveries share the queue of the http jobs."""
    return KINDS[SEND_DELIVERIES] if task == SEND_DELIVERIES else queue
