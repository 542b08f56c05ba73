"""`manage.py suspend_tenant TENANT [--reason TEXT]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.jobs.suspension import suspend_tenant
from tenants.management.commands._operator import OperatorCommand
from tenants.operators import parse_reason
from tenants.tenancy import find_tenant


class Command(OperatorCommand):
    help = "Suspend a tenant: running jobs finish, nothing new is accepted or started."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("--reason", metavar="TEXT", help="why, for the tenant's audit log")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"])
        reason = options["reason"]
        suspend_tenant(tenant.id, reason=None if reason is None else parse_reason(reason))
        self.stdout.write(f"Tenant {tenant.name} is suspended.")
