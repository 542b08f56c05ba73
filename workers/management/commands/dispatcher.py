"""`manage.py dispatcher`: runs the dispatcher until a signal asks it to stop."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from jobservice.celery import app
from jobservice.crypto.message_mac import load_message_key
from jobservice.env import ConfigurationError
from jobservice.ready import Readiness
from tenants.boot import check_boot
from workers.dispatcher import Dispatcher
from workers.metrics_server import share_metrics
from workers.publisher import Publisher
from workers.stop_flag import StopFlag
from workers.stop_limit import StopLimit


class Command(BaseCommand):
    help = "Run a dispatcher: it claims due jobs fairly and publishes them to the workers. Any number may run."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.ENVIRONMENT.broker_url:
            raise ConfigurationError("BROKER_URL is not set, and `make run` has not made a broker here.")
        check_boot()
        share_metrics(settings.ENVIRONMENT)
        stop_flag = StopFlag()
        for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            # A handler only sets a flag: an exception raised in the middle of a commit would leave its outcome unknown.
            signal.signal(signal_number, lambda *_: stop_flag.set())
        StopLimit(stop_flag, grace_seconds=settings.ENVIRONMENT.stop_grace_seconds).start()
        publisher = Publisher(app, load_message_key(settings.ENVIRONMENT.message_key_file))
        readiness = Readiness(settings.ENVIRONMENT.notify_socket, "round")
        Dispatcher(publisher, stop_flag=stop_flag, on_ready=lambda: readiness.note("round")).run()
