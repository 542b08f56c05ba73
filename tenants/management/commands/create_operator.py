"""`manage.py create_operator EMAIL`."""

from typing import Any

from django.core.management.base import CommandParser

from tenants.accounts import RESET_SECONDS, make_operator
from tenants.links import reset_url
from tenants.management.commands._operator import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Let a person operate the installation in the console; prints a link to choose a password by, good once, for "
        f"{RESET_SECONDS // 60} minutes. They must add a second factor. An account that the address has already loses "
        "its password, second factors, passkeys and sessions: it may be somebody else's."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="EMAIL")

    def act(self, **options: Any) -> None:
        made = make_operator(options["email"])
        link = made.link
        if not made.is_new:
            self.stdout.write(
                f"{link.email} had an account. Its password, its sessions and its {made.factors} second factors and "
                "sets of recovery codes are removed, as nothing shows whose it was; only this link opens it."
            )
        self.stdout.write(
            f"{link.email} is an operator. Shown once and good until "
            f"{link.expires_at:%Y-%m-%dT%H:%M:%SZ}: {reset_url(link.text)}"
        )
