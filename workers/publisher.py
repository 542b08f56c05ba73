"""The dispatcher's way to the broker: signed messages with a time limit. The only publisher there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery

from jobservice.crypto.message_mac import MessageKey, Ref, encode_message
from jobservice.logs import log_event

RUN_JOBS, SEND_DELIVERIES = "run_jobs", "send_deliveries"
KINDS = {RUN_JOBS: "jobs", SEND_DELIVERIES: "deliveries"}


class Publisher:
    """Publishes refs to a queue. After a failure `is_healthy` is False until a publish succeeds again."""

    def __init__(self, app: Celery, key: MessageKey) -> None:
        self._app = app
        self._key = key
        self.is_healthy = True

    def publish(self, task: str, refs: Sequence[Ref], *, queue: str) -> bool:
        """Send one message. False means unknown: it may arrive after all, so nothing is undone; the lease will speak."""
        message: dict[str, Any] = encode_message(KINDS[task], refs, self._key)
        try:
            self._app.send_task(task, args=[message], queue=queue, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 (every transport has errors of its own, and each means the same)
            log_event("publish_unknown", level="warning", count=len(refs), error_class=type(error).__name__)
            self._drop_connections()
            self.is_healthy = False
            return False
        self.is_healthy = True
        return True

    def _drop_connections(self) -> None:
        """A connection that failed once is not asked again."""
        self._app.pool.force_close_all()
        self._app.amqp.producer_pool.force_close_all()
        self._app.amqp._producer_pool = None
        self._app._pool = None
