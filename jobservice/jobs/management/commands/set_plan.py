"""`manage.py set_plan PLAN [name=value …]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.jobs.limits import apply_quotas
from tenants.management.commands._operator import OperatorCommand
from tenants.plans import set_plan
from tenants.quotas import DEFAULTS, parse_change, show_quotas


class Command(OperatorCommand):
    help = (
        "Make a plan, or change its quotas for all its tenants at once, and print it; null is no limit, and an empty "
        "value leaves the quota to the service's default."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", metavar="PLAN", help="1 to 40 characters of a-z, 0-9 and -")
        parser.add_argument("quotas", nargs="*", metavar="NAME=VALUE", help=f"of {', '.join(DEFAULTS)}")

    def act(self, **options: Any) -> None:
        quotas, tenants = set_plan(options["plan"], parse_change(options["quotas"]))
        apply_quotas(tenants)
        for line in show_quotas(quotas):
            self.stdout.write(line)
        count = len(tenants)
        self.stdout.write(f"{'1 tenant is' if count == 1 else f'{count} tenants are'} on plan {options['plan']}.")
