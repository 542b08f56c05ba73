"""`manage.py erase_tenant TENANT [--yes] [--json]`."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobservice.errors import Fault, Invalid
from jobservice.ids import TENANT, show_id
from jobservice.jobs.erasure import Erasure, erase_tenant
from tenants.management.commands._operator import OperatorCommand
from tenants.management.commands._progress import Progress
from tenants.models import Tenant
from tenants.tenancy import ERASED, find_tenant

BACKUPS = (
    "A backup of the database from before can still be opened by whoever has it and the root key file, until it "
    "expires or the root key versions it needs are destroyed."
)


class Command(OperatorCommand):
    help = (
        "Erase a tenant for good: its keys first, so that nothing it had opens again, then every row. Its jobs end "
        f"without an event. {BACKUPS} Cut short, run it again with the tenant's id: it goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("--yes", action="store_true", help="do not ask for the name to be typed again")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"], is_erased_too=True)
        if not options["yes"] and tenant.status != ERASED:
            self._confirm(tenant)
        progress = Progress(self.stderr, "rows removed")
        progress.say(f"Erasing tenant {tenant.name}, {show_id(TENANT, tenant.id)} …")
        done = erase_tenant(tenant.id, progress=progress.note)
        self.show(options["json"], _content(tenant, done), _sentence(tenant, done))
        if not done.is_settled:
            sentence = "A transaction from before is still open and may add a row, which opens no more; run it again."
            raise CommandError(sentence, returncode=1)

    def _confirm(self, tenant: Tenant) -> None:
        self.stderr.write(f"This cannot be undone. Type the tenant's name, {tenant.name}, to erase it:", style_func=str)
        self.stderr.flush()
        if sys.stdin.readline().strip() != tenant.name:
            raise Invalid([Fault("/name", "bad-format", "That is not the tenant's name; nothing was erased.")])


def _content(tenant: Tenant, done: Erasure) -> dict[str, Any]:
    return {"tenant": show_id(TENANT, tenant.id), "name": done.tombstone, "removed": dict(done.removed)}


def _sentence(tenant: Tenant, done: Erasure) -> str:
    removed = ", ".join(f"{count} {table}" for table, count in done.removed.items()) or "nothing was left"
    return (
        f"Tenant {tenant.name} is erased; its tombstone is {done.tombstone}.\nIts keys are destroyed, and nothing it "
        f"had opens any more. Rows removed: {removed}.\n{BACKUPS}"
    )
