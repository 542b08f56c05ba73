"""`manage.py set_weight TENANT WEIGHT`."""

from typing import Any

from django.core.management.base import CommandParser

from tenants.management.commands._operator import OperatorCommand
from tenants.tenancy import MOST_WEIGHT, find_tenant, parse_weight, set_weight


class Command(OperatorCommand):
    help = (
        f"Give a tenant its weight, 1 to {MOST_WEIGHT}: while several have work, one of weight 3 gets three jobs done "
        "for each of one of weight 1. What one does not use goes to the others."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("weight", metavar="WEIGHT", help="1 unless it was set")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"])
        weight = parse_weight(options["weight"])
        set_weight(tenant.id, weight)
        self.stdout.write(f"Tenant {tenant.name} has the weight {weight}.")
