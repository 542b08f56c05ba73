"""`manage.py prepare`: all that a database needs before the first process starts. `manage.py up` runs it each time."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import Error, transaction

from jobservice.env import ConfigurationError
from jobservice.errors import Conflict
from tenants.models import Tenant
from tenants.tenancy import create_tenant
from workers.supervisor.first_tenant import make_first_tenant
from workers.supervisor.provision import keep_logins


class Command(BaseCommand):
    help = (
        "Prepare a database for a start, as its owner: apply the migrations, make or check the key files, let each "
        "role log in and, when there is no tenant at all, make the tenant demo. Safe to repeat."
    )
    # They may ask the database, which is not migrated yet.
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        environment = settings.ENVIRONMENT
        if not environment.database_url:
            raise ConfigurationError("DATABASE_URL is not set, and `make run` has not made a database here.")
        try:
            call_command("migrate", interactive=False, stdout=self.stdout)
            call_command("create_keys", stdout=self.stdout)
            if renewed := keep_logins(environment):
                self.stdout.write(f"new passwords for {', '.join(renewed)} are in {environment.connections_path}")
            _make_first_tenant()
        except Error as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigurationError(f"DATABASE_URL: the database cannot be prepared ({reason}).") from None


def _make_first_tenant() -> None:
    try:
        with transaction.atomic():
            if not Tenant.objects.exists():
                make_first_tenant(settings.ENVIRONMENT, make=lambda name: create_tenant(name).api_key)
    except Conflict:
        # Another machine's first start made it at the same time, and keeps its key.
        return
