"""`manage.py doctor [--json] [--keep]`: what is wrong with the running service, and what mends it. Without --keep it
reads only; with it, what was found is kept for the operators' page of the console.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from jobservice.env import ConfigurationError
from tenants.operators import keep_findings, read_clock
from workers.doctor.examination import examine
from workers.doctor.reader import RoleReader
from workers.doctor.report import decide_exit_status, list_findings, show_json, show_text
from workers.supervisor.provision import check_database


class Command(BaseCommand):
    help = "Check the running service: exit code 0 when all is well, 1 when something is wrong, 2 when it cannot look."
    # They may ask the database, which is what is looked at.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a list of {name, status, detail, fix}")
        parser.add_argument(
            "--keep", action="store_true", help="keep what is found, for the operators' page of the console"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        urls = settings.ENVIRONMENT.database_urls
        if not urls["owner"]:
            raise ConfigurationError("DATABASE_URL is not set, and `make run` has not made a database here.")
        check_database(urls["owner"])
        begun_at = read_clock() if options["keep"] else None
        with RoleReader(urls) as reader:
            findings = examine(reader)
        if begun_at is not None:
            keep_findings(list_findings(findings), begun_at=begun_at)
        self.stdout.write(show_json(findings) if options["json"] else show_text(findings))
        if status := decide_exit_status(findings):
            raise SystemExit(status)
