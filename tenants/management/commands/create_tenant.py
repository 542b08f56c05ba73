"""`manage.py create_tenant NAME [--json]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.ids import TENANT, show_id
from tenants.management.commands._operator import OperatorCommand
from tenants.tenancy import create_tenant


class Command(OperatorCommand):
    help = "Make a tenant and print its id and its first API key, which is not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        new = create_tenant(options["name"])
        shown = show_id(TENANT, new.tenant_id)
        content = {"tenant": shown, "name": new.name, "api_key": new.api_key}
        self.show(options["json"], content, f"Tenant {new.name} is {shown}.\nIts API key, shown once: {new.api_key}")
