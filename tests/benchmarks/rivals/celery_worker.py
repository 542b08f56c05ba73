"""Starts a Celery worker of a rival, and takes its queue away afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from celery import Celery
from kombu import Queue

from tests.benchmarks.children import running_child
from tests.benchmarks.rivals.celery_app import KEY_PREFIX
from tests.benchmarks.servers import Servers

PROCESSES = 2


def broker_environment(servers: Servers, queue: str) -> dict[str, str]:
    return {"BENCH_BROKER_URL": servers.broker_url, "BENCH_QUEUE": f"{queue}-{os.getpid()}"}


@contextmanager
def running_worker(application: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A prefork worker of the app in a module."""
    command = ["-m", "celery", "-q", "-A", application, "worker", "-P", "prefork", "-c", str(PROCESSES)]
    # A name of its own, because two workers of one name share a queue that RabbitMQ gives to one only.
    options = [
        "-n",
        f"{environment['BENCH_QUEUE']}@%h",
        "-l",
        "WARNING",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    try:
        with running_child(*command, *options, **environment) as worker:
            yield worker
    finally:
        _delete_queue(environment["BENCH_BROKER_URL"], environment["BENCH_QUEUE"])


def _delete_queue(broker_url: str, queue: str) -> None:
    options = {"global_keyprefix": KEY_PREFIX} if broker_url.startswith("redis") else {}
    app = Celery(broker=broker_url, set_as_current=False)
    app.conf.broker_transport_options = options
    # A broker that went away keeps nothing of ours but names.
    with suppress(OSError), app.connection_for_write() as connection, connection.channel() as channel:
        Queue(queue, channel=channel).delete()
