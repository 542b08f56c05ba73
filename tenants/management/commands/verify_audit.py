"""`manage.py verify_audit [TENANT …] [--known SEQ:HASH]`."""

import re
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobservice.errors import Fault, Invalid
from jobservice.ids import AUDIT_EVENT, show_id
from tenants.audit_chain import Break, Place
from tenants.audit_checks import Verified, verify_chain
from tenants.management.commands._operator import OperatorCommand
from tenants.models import Tenant
from tenants.tenancy import find_tenant

_KNOWN = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


class Command(OperatorCommand):
    help = (
        "Walk the chain of the audit log of these tenants, or of all, erased ones too, and name the first event that "
        "is not what was written. Exit code 1: a chain is broken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenants", metavar="TENANT", nargs="*", help="a tenant's name or id; all unless given")
        parser.add_argument("--known", metavar="SEQ:HASH", help="an event noted earlier, which must be in the chain")

    def act(self, **options: Any) -> None:
        tenants = [find_tenant(name, is_erased_too=True) for name in options["tenants"]]
        known = None if options["known"] is None else _read_known(options["known"])
        if known is not None and len(tenants) != 1:
            raise CommandError("--known is about one TENANT; name it.", returncode=2)
        broken = 0
        for tenant in tenants or Tenant.objects.order_by("id").iterator():
            verified = verify_chain(tenant.id, known=known)
            broken += verified.broken is not None
            self.stdout.write(_sentence(tenant, verified))
        if broken:
            raise CommandError(f"{'One chain is' if broken == 1 else f'{broken} chains are'} broken.", returncode=1)


def _read_known(text: str) -> Place:
    match = _KNOWN.fullmatch(text)
    if match is None:
        raise Invalid([Fault("/known", "bad-format", f"--known is {text!r}, which is not SEQ:HASH.")])
    return Place(int(match[1]), bytes.fromhex(match[2]))


def _sentence(tenant: Tenant, verified: Verified) -> str:
    if verified.broken is not None:
        return f"{tenant.name}: broken at event {_show(verified.broken)}."
    events = "1 event" if verified.place.seq == 1 else f"{verified.place.seq} events"
    return f"{tenant.name}: {events}, the chain holds; it ends with {verified.place.seq}:{verified.place.hash.hex()}."


def _show(broken: Break) -> str:
    named = "" if broken.event_id is None else f", {show_id(AUDIT_EVENT, broken.event_id)}"
    return f"{broken.seq}{named}: {broken.reason}"
