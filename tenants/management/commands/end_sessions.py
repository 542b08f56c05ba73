"""`manage.py end_sessions EMAIL|--all`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobservice.errors import NotFound
from tenants.accounts import find_account
from tenants.login_sessions import end_everybodys_sessions, end_sessions
from tenants.management.commands._operator import OperatorCommand


class Command(OperatorCommand):
    help = "End the console sessions of an account, or of everybody, at once. Passwords and second factors stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="EMAIL", nargs="?")
        parser.add_argument("--all", action="store_true", dest="of_all", help="of everybody")

    def act(self, **options: Any) -> None:
        email = options["email"]
        if (email is None) != options["of_all"]:
            raise CommandError("Name an account by its address, or give --all.", returncode=2)
        if options["of_all"]:
            ended = end_everybodys_sessions()
        elif (account := find_account(email)) is not None:
            ended = end_sessions(account.id)
        else:
            raise NotFound(f"There is no account of {email!r}.")
        self.stdout.write(f"{ended} sessions are ended.")
