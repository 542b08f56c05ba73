"""`manage.py delete_plan PLAN`."""

from typing import Any

from django.core.management.base import CommandParser

from tenants.management.commands._operator import OperatorCommand
from tenants.plans import delete_plan


class Command(OperatorCommand):
    help = "Remove a plan that no tenant is on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", metavar="PLAN")

    def act(self, **options: Any) -> None:
        delete_plan(options["plan"])
        self.stdout.write(f"Plan {options['plan']} is gone.")
