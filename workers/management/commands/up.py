"""`manage.py up`: what `make run` runs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobservice import env
from workers.supervisor.supervisor import run_supervisor


class Command(BaseCommand):
    help = "Run PostgreSQL, the broker and every process of the service on this machine until Ctrl-C."
    # The checks may ask the database, which does not run yet.
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        status = run_supervisor(env.load())
        if status:
            raise SystemExit(status)
