"""`manage.py suspend_tenant TENANT`."""

from typing import Any

from django.core.management.base import CommandParser

from tenants.management.commands._operator import OperatorCommand
from tenants.tenancy import find_tenant, set_status


class Command(OperatorCommand):
    help = "Suspend a tenant: running jobs finish, nothing new is accepted or started."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"])
        set_status(tenant, "suspended")
        self.stdout.write(f"Tenant {tenant.name} is suspended.")
