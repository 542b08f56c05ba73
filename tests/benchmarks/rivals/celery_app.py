"""A Celery app as its users run it, on the broker of this run but in a queue of its own. Configured by `BENCH_…`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu import Queue

KEY_PREFIX = "jobservice.bench."


def make_app(name: str) -> Celery:
    """Prefork, JSON, acknowledged early, no results; publisher confirms on RabbitMQ, so that a sent message is kept."""
    broker_url, queue = os.environ["BENCH_BROKER_URL"], os.environ["BENCH_QUEUE"]
    app = Celery(name, broker=broker_url)
    app.conf.update(
        task_queues=[Queue(queue)],
        task_default_queue=queue,
        task_ignore_result=True,
        worker_prefetch_multiplier=4,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(broker_url),
        # Django's connection is kept between tasks.
        CELERY_DB_REUSE_MAX=1_000_000,
    )
    return app


def _transport_options(broker_url: str) -> dict[str, Any]:
    return {"global_keyprefix": KEY_PREFIX} if broker_url.startswith("redis") else {"confirm_publish": True}
