"""`manage.py doctor [--json]`: what is wrong with the running service, and what mends it. Reads only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from jobservice.env import ConfigurationError
from workers.doctor.examination import examine
from workers.doctor.reader import RoleReader
from workers.doctor.report import decide_exit_status, show_json, show_text
from workers.supervisor.provision import check_database


class Command(BaseCommand):
    help = "Check the running service: exit code 0 when all is well, 1 when something is wrong, 2 when it cannot look."
    # They may ask the database, which is what is looked at.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a list of {name, status, detail, fix}")

    def handle(self, *_args: Any, **options: Any) -> None:
        urls = settings.ENVIRONMENT.database_urls
        if not urls["owner"]:
            raise ConfigurationError("DATABASE_URL is not set, and `make run` has not made a database here.")
        check_database(urls["owner"])
        with RoleReader(urls) as reader:
            findings = examine(reader)
        self.stdout.write(show_json(findings) if options["json"] else show_text(findings))
        if status := decide_exit_status(findings):
            raise SystemExit(status)
