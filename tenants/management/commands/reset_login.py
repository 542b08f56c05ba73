"""`manage.py reset_login EMAIL [--factors]`."""

from typing import Any

from django.core.management.base import CommandParser

from jobservice.errors import NotFound
from tenants.accounts import RESET_SECONDS, find_account, make_reset_link
from tenants.links import reset_url
from tenants.management.commands._operator import OperatorCommand
from tenants.second_factors import PASSKEY, list_factors, remove_all_factors


class Command(OperatorCommand):
    help = (
        f"Print a link for another password, good once, for {RESET_SECONDS // 60} minutes. Without --factors the "
        "account's passkeys stay, each of which logs in without a password: use it unless you know whose they are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="EMAIL")
        parser.add_argument("--factors", action="store_true", help="remove second factors and passkeys, too")

    def act(self, **options: Any) -> None:
        account = find_account(options["email"])
        if account is None:
            raise NotFound(f"There is no account of {options['email']!r}.")
        if options["factors"]:
            self.stdout.write(
                f"{remove_all_factors(account.id)} second factors and sets of recovery codes are removed."
            )
        elif kept := sum(one.type == PASSKEY for one in list_factors(account.id)):
            self.stdout.write(
                f"{kept} passkeys stay, and each logs in without any password; if they may be in other hands, use "
                "--factors."
            )
        link = make_reset_link(account.id)
        self.stdout.write(f"Shown once and good until {link.expires_at:%Y-%m-%dT%H:%M:%SZ}: {reset_url(link.text)}")
