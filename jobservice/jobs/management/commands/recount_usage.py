"""`manage.py recount_usage TENANT|--all`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobservice.jobs.usage import recount_usage
from tenants.management.commands._operator import OperatorCommand
from tenants.tenancy import find_tenant, list_tenants


class Command(OperatorCommand):
    help = "Count anew what a tenant holds, and set its counters to it. Its submissions wait meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", nargs="?", help="the tenant's name or id")
        parser.add_argument("--all", action="store_true", help="every tenant, one after the other")

    def act(self, **options: Any) -> None:
        if bool(options["tenant"]) == options["all"]:
            raise CommandError("Say which: TENANT or --all.", returncode=2)
        for tenant in list_tenants() if options["all"] else [find_tenant(options["tenant"])]:
            before, after = (usage.volume for usage in recount_usage(tenant.id))
            changes = [
                f"{name} {getattr(before, name)} → {getattr(after, name)}"
                for name in ("open_jobs", "stored_bytes")
                if getattr(before, name) != getattr(after, name)
            ]
            self.stdout.write(f"{tenant.name}: {', '.join(changes) or 'nothing to mend'}.")
