"""`manage.py worker handlers|egress`: one Celery worker, with the only pool that is right for its work."""

from __future__ import annotations

import logging
import os
import warnings
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning
from celery.utils.log import get_multiprocessing_logger
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connections

from jobservice.celery import app
from jobservice.env import ConfigurationError
from jobservice.handlers.registry import load_handlers
from tenants.boot import check_boot
from workers.consumer_watch import watch_consumer
from workers.metrics_server import share_metrics
from workers.tasks import message_key, take_messages
from workers.warm_stop import WarmStop

EGRESS_THREADS = 4


class Command(BaseCommand):
    help = "Run a worker: `handlers` runs Python handlers, `egress` runs http jobs and webhook deliveries."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pool", choices=["handlers", "egress"])

    def handle(self, *_: Any, pool: str, **__: Any) -> None:
        if not settings.ENVIRONMENT.broker_url:
            raise ConfigurationError("BROKER_URL is not set, and `make run` has not made a broker here.")
        load_handlers(settings.ENVIRONMENT.handlers)
        check_boot()
        message_key()
        share_metrics(settings.ENVIRONMENT)
        # The pool forks: nothing may be open that two processes would then share.
        connections.close_all()
        # Celery warns of running as root because of pickle, which this app does not accept.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        # Celery puts handlers of its own beside ours unless somebody receives this.
        signals.setup_logging.connect(_keep_our_logs, weak=False)
        watch_consumer(app)
        options = _set_up_handlers() if pool == "handlers" else _set_up_egress()
        app.worker_main([*_common_options(pool), *options])


def _common_options(pool: str) -> list[str]:
    name = f"{pool}-{os.getpid()}@%h"
    return ["--quiet", "worker", "-n", name, "-l", "WARNING", "-Q", pool, "--without-gossip", "--without-mingle"]


def _set_up_handlers() -> list[str]:
    from workers import handler_pool  # here, because each kind of worker loads only what it runs

    pool = handler_pool.install()
    take_messages(jobs=pool.run_group)
    _stop_warmly(pool.rescue)
    return ["--without-heartbeat", "-P", "prefork", "-O", "fair", "-c", str(settings.ENVIRONMENT.handler_processes)]


def _set_up_egress() -> list[str]:
    from workers import egress_pool  # as above

    egress_pool.install()
    take_messages(jobs=egress_pool.admit_jobs, deliveries=egress_pool.admit_deliveries)
    _stop_warmly(egress_pool.rescue)
    return ["--without-heartbeat", "-P", "threads", "-c", str(EGRESS_THREADS)]


def _stop_warmly(rescue: Callable[[], None]) -> None:
    WarmStop(grace_seconds=settings.ENVIRONMENT.stop_grace_seconds, rescue=rescue).install(app)


def _keep_our_logs(**_: Any) -> None:
    """Leave logging as the settings made it; the process pool's own logger keeps to itself unless it is told."""
    pool_logger = get_multiprocessing_logger()
    if pool_logger is not None:
        pool_logger.propagate = True
        pool_logger.setLevel(logging.WARNING)
