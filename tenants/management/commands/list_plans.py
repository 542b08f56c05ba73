"""`manage.py list_plans [--json]`."""

from typing import Any

from django.core.management.base import CommandParser

from tenants.management.commands._operator import OperatorCommand
from tenants.plans import list_plans
from tenants.quotas import show_quotas


class Command(OperatorCommand):
    help = "Print the plans with their quotas and the number of their tenants."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        plans = list_plans()
        content = {"plans": [{"name": one.name, "quotas": one.quotas, "tenants": one.tenants} for one in plans]}
        lines = [
            f"{one.name}, {one.tenants} tenant{'' if one.tenants == 1 else 's'}: "
            f"{', '.join(show_quotas(one.quotas)) or 'all as the service has them'}"
            for one in plans
        ]
        self.show(options["json"], content, "\n".join(lines) or "There is no plan.")
