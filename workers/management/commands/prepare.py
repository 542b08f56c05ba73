"""`manage.py prepare`: all that a database needs before the first process starts. `manage.py up` runs it each time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import Error, connection, transaction

from jobservice.env import ConfigurationError
from jobservice.errors import Conflict, NotFound
from tenants.links import invitation_url
from tenants.members import invite_member, renew_invitation
from tenants.models import Tenant
from tenants.redemption import find_invitation
from tenants.tenancy import create_tenant, find_tenant
from workers.management.commands.migrate import LOCK_TIMEOUT
from workers.supervisor.first_tenant import NAME, keep_first_link, make_first_tenant
from workers.supervisor.plan import is_embedded
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
            _make_partitions()
            call_command("create_keys", stdout=self.stdout)
            if renewed := keep_logins(environment):
                self.stdout.write(f"new passwords for {', '.join(renewed)} are in {environment.connections_path}")
            _make_first_tenant()
            keep_first_link(environment, renew=_renew_link)
        except Error as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigurationError(f"DATABASE_URL: the database cannot be prepared ({reason}).") from None


def _make_partitions() -> None:
    """Before anybody writes: once a week's rows lie in a default partition, none is made for it.

    What cannot be made now, the dispatcher tries again, and the doctor tells.
    """
    with suppress(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute("SELECT make_partitions()")


def _make_first_tenant() -> None:
    try:
        with transaction.atomic():
            if not Tenant.objects.exists():
                make_first_tenant(
                    settings.ENVIRONMENT,
                    make=lambda name: create_tenant(name).api_key,
                    invite=_invite_owner,
                    fills=settings.ENVIRONMENT.demo and is_embedded(),
                )
    except Conflict:
        # Another machine's first start made it at the same time, and keeps its key.
        return


def _invite_owner(name: str, email: str) -> str:
    new = invite_member(find_tenant(name).id, email=email, role="owner", may_read_payloads=True)
    return invitation_url(new.invitation)


def _renew_link(email: str, link: str) -> str | None:
    """The same invitation while it is good, at the address of this start; another one when its time is over."""
    invitation = link.rpartition("/")[2]
    if find_invitation(invitation) is not None:
        return invitation_url(invitation)
    try:
        renewed = renew_invitation(find_tenant(NAME).id, email=email)
    except NotFound:
        return None
    return None if renewed is None else invitation_url(renewed)
