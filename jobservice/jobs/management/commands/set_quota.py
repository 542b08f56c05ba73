"""`manage.py set_quota TENANT [--plan PLAN | --no-plan] [name=value …]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.jobs.limits import apply_quotas
from tenants.management.commands._operator import OperatorCommand
from tenants.plans import move_to_plan, set_quotas
from tenants.quotas import DEFAULTS, parse_change, show_quotas
from tenants.tenancy import find_tenant


class Command(OperatorCommand):
    help = (
        "Change a tenant's own quotas, which go before its plan's, and print what differs from the service's defaults; "
        "null is no limit, and an empty value removes the tenant's own."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # The values may come after an option.
        parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]  # of this parser only
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("quotas", nargs="*", metavar="NAME=VALUE", help=f"of {', '.join(DEFAULTS)}")
        plan = parser.add_mutually_exclusive_group()
        plan.add_argument("--plan", metavar="PLAN", help="put the tenant on this plan")
        plan.add_argument("--no-plan", action="store_true", help="take the tenant off its plan")

    def act(self, **options: Any) -> None:
        change = parse_change(options["quotas"])
        tenant_id = find_tenant(options["tenant"]).id
        if options["plan"] is not None or options["no_plan"]:
            tenant = move_to_plan(tenant_id, options["plan"], change)
        else:
            tenant = set_quotas(tenant_id, change)
        apply_quotas([tenant_id])
        plan = [] if tenant.plan is None else [f"plan = {tenant.plan}"]
        for line in [*plan, *show_quotas(tenant.quotas)]:
            self.stdout.write(line)
