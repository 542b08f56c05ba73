"""`manage.py openapi [--check]`."""

from __future__ import annotations

import difflib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api.openapi.document import build_document, write_document
from api.openapi.views import DOCUMENT_PATH


class Command(BaseCommand):
    help = "Write the OpenAPI document from the operations; with --check, only say whether it is as it should be."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with the differences")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = write_document(build_document())
        kept = DOCUMENT_PATH.read_text() if DOCUMENT_PATH.exists() else ""
        if options["check"] and kept != wanted:
            difference = difflib.unified_diff(kept.splitlines(), wanted.splitlines(), "kept", "built", lineterm="", n=1)
            self.stdout.write("\n".join(list(difference)[:60]))
            raise CommandError("The OpenAPI document is not up to date: run `manage.py openapi`.", returncode=1)
        if not options["check"]:
            DOCUMENT_PATH.write_text(wanted)
            self.stdout.write(f"{DOCUMENT_PATH} has {wanted.count(chr(10))} lines.")
