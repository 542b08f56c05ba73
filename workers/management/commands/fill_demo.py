"""`manage.py fill_demo`: fill the tenant demo of a first start, beside the running service. `manage.py up` runs it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenants.inbox import inbox_url, is_there
from tenants.links import console_url
from tenants.tenancy import find_tenant
from workers.supervisor.demo_fill import DemoFillError, fill_demo, is_fill_wanted
from workers.supervisor.first_tenant import NAME, read_first_link


class Command(BaseCommand):
    help = (
        "Fill the tenant demo with queues, job types and jobs, by the API, once: after the first start of `make run`."
    )
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        environment = settings.ENVIRONMENT
        if not is_fill_wanted(environment):
            return
        url = inbox_url(find_tenant(NAME).id) if is_there() else ""
        try:
            fill_demo(environment, inbox_url=url)
        except DemoFillError as error:
            raise CommandError(f"The tenant demo is not filled: {error}") from None
        where = read_first_link(environment) or console_url(environment)
        self.stdout.write(f"the tenant demo has jobs in every state: look at {where}")
