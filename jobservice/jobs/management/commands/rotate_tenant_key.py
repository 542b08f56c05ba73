"""`manage.py rotate_tenant_key TENANT [--retire-anyway] [--json]`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobservice.ids import TENANT, show_id
from jobservice.jobs.resealing import SETTLE_SECONDS, Resealed, rotate_tenant_key
from tenants.management.commands._operator import OperatorCommand
from tenants.management.commands._progress import Progress
from tenants.models import Tenant
from tenants.tenancy import find_tenant


class Command(OperatorCommand):
    help = (
        "Give a tenant a new key, seal everything it has anew under it, and retire the old one, while its jobs run. "
        f"Takes at least {SETTLE_SECONDS:.0f} seconds. Cut short, run it again: it goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument(
            "--retire-anyway",
            action="store_true",
            help="retire the old key even though some values open under no key, old or new",
        )
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"])
        progress = Progress(self.stderr, "values sealed anew")
        progress.say(f"Sealing the values of tenant {tenant.name} anew …")
        done = rotate_tenant_key(tenant.id, progress=progress.note, is_retired_anyway=options["retire_anyway"])
        self.show(options["json"], _content(tenant, done), _sentence(tenant, done))
        if not done.is_retired:
            raise CommandError(_reason(done), returncode=1)


def _content(tenant: Tenant, done: Resealed) -> dict[str, Any]:
    return {
        "tenant": show_id(TENANT, tenant.id),
        "key_version": done.version,
        "resumed": done.is_resumed,
        "resealed": done.resealed,
        "unreadable": done.unreadable,
        "retired": done.is_retired,
    }


def _sentence(tenant: Tenant, done: Resealed) -> str:
    resumed = " (an earlier rotation was completed; run it again for another version)" if done.is_resumed else ""
    older = "older versions open nothing any more" if done.is_retired else "older versions still open"
    lost = f", {done.unreadable} open under no version" if done.unreadable else ""
    return (
        f"Tenant {tenant.name} seals under version {done.version} of its key{resumed}: "
        f"{done.resealed} values were sealed anew{lost}; {older}."
    )


def _reason(done: Resealed) -> str:
    if done.unreadable:
        return (
            "The old key was not retired, because some values open under no version; they are damaged or belong "
            "elsewhere. --retire-anyway retires it all the same."
        )
    return "The old key was not retired, because a transaction from before the rotation is still open; run it again."
