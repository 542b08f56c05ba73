"""`manage.py create_api_key TENANT --scopes … [--json]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.ids import API_KEY, TENANT, show_id
from tenants.api_keys import SCOPES, create_api_key
from tenants.context import tenant_tx
from tenants.management.commands._operator import OperatorCommand
from tenants.tenancy import find_tenant


class Command(OperatorCommand):
    help = "Make an API key for a tenant and print it; it is not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("--scopes", nargs="+", required=True, metavar="SCOPE", help=f"of {', '.join(SCOPES)}")
        parser.add_argument("--name", default="made by the operator", help="what the list of keys calls it")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"])
        # Scopes may come apart by blanks or by commas.
        scopes = [scope for word in options["scopes"] for scope in word.split(",") if scope]
        with tenant_tx(tenant.id):
            key_id, text = create_api_key(tenant.id, name=options["name"], scopes=scopes)
        content = {"tenant": show_id(TENANT, tenant.id), "key": show_id(API_KEY, key_id), "api_key": text}
        self.show(options["json"], content, f"An API key of tenant {tenant.name}, shown once: {text}")
