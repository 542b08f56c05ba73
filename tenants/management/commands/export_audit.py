"""`manage.py export_audit TENANT [--since TIME]`."""

import json
from typing import Any

from django.core.management.base import CommandParser

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import parse_instant
from tenants.audit_checks import export_lines
from tenants.management.commands._operator import OperatorCommand
from tenants.tenancy import find_tenant


class Command(OperatorCommand):
    help = (
        "Print a tenant's audit log, the oldest event first: a line of JSON for each, with what it takes to follow the "
        "chain elsewhere, and a last one with where it ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id, also of an erased one")
        parser.add_argument("--since", metavar="TIME", help="from this time on, such as 2027-01-31T00:00:00Z")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"], is_erased_too=True)
        since = None if options["since"] is None else parse_instant(options["since"])
        if since is None and options["since"] is not None:
            detail = f"--since is {options['since']!r}, which is no time such as 2027-01-31T00:00:00Z."
            raise Invalid([Fault("/since", "bad-format", detail)])
        for line in export_lines(tenant.id, since=since):
            self.stdout.write(json.dumps(line, ensure_ascii=False))
