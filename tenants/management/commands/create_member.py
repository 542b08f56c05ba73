"""`manage.py create_member TENANT EMAIL --role … [--payloads] [--json]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.ids import MEMBER, TENANT, show_id
from tenants.links import invitation_url
from tenants.management.commands._operator import OperatorCommand
from tenants.members import INVITATION_DAYS, invite_member
from tenants.roles import ROLES
from tenants.tenancy import find_tenant


class Command(OperatorCommand):
    help = f"Invite a person to a tenant; prints a one-time invitation, good for {INVITATION_DAYS} days."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's name or id")
        parser.add_argument("email", metavar="EMAIL")
        parser.add_argument("--role", required=True, choices=ROLES)
        parser.add_argument("--payloads", action="store_true", help="let them read payloads and results")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        tenant = find_tenant(options["tenant"])
        new = invite_member(
            tenant.id, email=options["email"], role=options["role"], may_read_payloads=options["payloads"]
        )
        shown, expires_at = show_id(MEMBER, new.member_id), f"{new.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        content = {
            "member": shown,
            "tenant": show_id(TENANT, tenant.id),
            "email": new.email,
            "role": new.role,
            "may_read_payloads": new.may_read_payloads,
            "invitation": new.invitation,
            "url": invitation_url(new.invitation),
            "expires_at": expires_at,
        }
        sentence = (
            f"{new.email} is invited to {tenant.name} as {new.role}: {shown}.\n"
            f"The invitation, shown once and good until {expires_at}: {invitation_url(new.invitation)}"
        )
        self.show(options["json"], content, sentence)
