"""The Celery app: the engine that runs what was claimed. A message is a hint, so nothing here is relied on for safety.

No result backend, no ETA, no retry, no remote control, JSON only: time and state live in PostgreSQL.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobservice.settings")

from celery import Celery
from django.conf import settings
from kombu import Queue

HANDLERS, EGRESS = "handlers", "egress"
# Longer than a busy broker takes to answer, shorter than RabbitMQ takes to give a silent client up.
ANSWER_SECONDS = 10

# Without Celery's Django fixup, which closes or probes connections around every task: each use of ours looks itself.
app = Celery("jobservice", broker=settings.ENVIRONMENT.broker_url or "memory://", set_as_current=True, fixups=[])


def transport_options(broker_url: str, *, publishes: bool) -> dict[str, Any]:
    """Time limits for the transport: whoever waits for a broker that froze or is cut off gives up and connects anew.

    Only the dispatcher publishes, and its loop must not hang. A consumer reads what is there; all it waits for is the
    answer to a question of its own, and that of Redis to BRPOP, which is due every second.
    """
    # A publisher tries to connect twice and then says "unknown"; kombu's own default is to try for ever.
    options: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2} if publishes else {}
    if broker_url.startswith("redis"):
        options |= {"global_keyprefix": "jobservice.", "socket_connect_timeout": 2}
        options |= (
            {"socket_timeout": 2} if publishes else {"socket_timeout": ANSWER_SECONDS, "health_check_interval": 10}
        )
    elif publishes:
        options |= {"confirm_publish": True, "read_timeout": 2, "write_timeout": 2}
    else:
        options |= {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    return options


app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_backend=None,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_queues=[Queue(HANDLERS), Queue(EGRESS)],
    task_default_queue=HANDLERS,
    task_create_missing_queues=False,
    task_publish_retry=False,
    # The lease protects the job, not the acknowledgement: early is right.
    task_acks_late=False,
    task_reject_on_worker_lost=False,
    task_time_limit=None,
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=500,
    worker_max_memory_per_child=400_000,
    # Cancels what is acknowledged late, which is nothing here; without it Celery warns at each loss.
    worker_cancel_long_running_tasks_on_connection_loss=True,
    # Restoring the count asks the broker from a thread of the pool, which then reads from the socket beside Celery's
    # loop: the two tear frames apart, and the loop spins until RabbitMQ hears no heartbeat and hangs up.
    worker_enable_prefetch_count_reduction=False,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A queue that is deleted between declare and consume, or a channel that the broker closes, is tried again.
    broker_channel_error_retry=True,
    # AMQP's own, sent by the event loop of both pools; `--without-heartbeat` is about Celery's events.
    broker_heartbeat=10,
    broker_pool_limit=2,
    broker_transport_options=transport_options(
        settings.ENVIRONMENT.broker_url, publishes=settings.ENVIRONMENT.process == "dispatcher"
    ),
    include=["workers.tasks"],
)
