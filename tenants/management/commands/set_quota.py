"""`manage.py set_quota TENANT name=value …`."""

from typing import Any

from django.core.management.base import CommandParser

from tenants.management.commands._operator import OperatorCommand
from tenants.quotas import DEFAULTS, parse_quota
from tenants.tenancy import find_tenant, set_quotas


class Command(OperatorCommand):
    help = "Change a tenant's quotas; null is no limit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("quotas", nargs="+", metavar="NAME=VALUE", help=f"of {', '.join(DEFAULTS)}")

    def act(self, **options: Any) -> None:
        wanted = dict(parse_quota(text) for text in options["quotas"])
        quotas = set_quotas(find_tenant(options["tenant"]), wanted)
        for name, value in sorted(quotas.items()):
            self.stdout.write(f"{name} = {'null' if value is None else value}")
