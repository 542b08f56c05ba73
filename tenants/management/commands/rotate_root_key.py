"""`manage.py rotate_root_key [--prepare] [--json]`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from tenants.management.commands._operator import OperatorCommand
from tenants.management.commands._progress import Progress
from tenants.root_key_rotation import Rewrapped, prepare_root_key, rotate_root_key
from tenants.root_keys import root_key_provider


class Command(OperatorCommand):
    help = (
        "Add a version to the root key and wrap every tenant's keys under it, while the service runs. "
        "With Vault, or with a key file on one machine, run it as it is. With the file on several: run it with "
        "--prepare, copy the file to every machine, and run it again without; running processes find the new version "
        "by themselves. Cut short, run it again: it goes on. "
        "Old versions are kept, because backups of the database need them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prepare", action="store_true", help="only add the version, to be copied")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def act(self, **options: Any) -> None:
        if options["prepare"]:
            self._show_prepared(prepare_root_key(), options["json"])
            return
        progress = Progress(self.stderr, "keys wrapped anew")
        self._show_done(rotate_root_key(progress=progress.note), options["json"])

    def _show_prepared(self, version: int, as_json: bool) -> None:
        self.show(as_json, {"root_key_version": version, "prepared": True}, root_key_provider().tell_prepared(version))

    def _show_done(self, done: Rewrapped, as_json: bool) -> None:
        content = {
            "root_key_version": done.version,
            "prepared": False,
            "rewrapped": done.rewrapped,
            "remaining": done.remaining,
        }
        rest = f"{done.remaining} could not be opened and remain as they are" if done.remaining else "none remain"
        sentence = (
            f"{done.rewrapped} keys were wrapped anew under version {done.version} of the root key; under older "
            f"versions {rest}.\n{root_key_provider().tell_rotated()}"
        )
        self.show(as_json, content, sentence)
        if done.remaining:
            raise CommandError("Not every key could be wrapped anew; the log names their tenants.", returncode=1)
