"""`manage.py create_keys`: the root key and the message key of a first start, and the check of every later one."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from jobservice.crypto.first_start import create_key_files
from jobservice.crypto.message_mac import load_message_key
from jobservice.env import ConfigurationError
from tenants.boot import refuse_wrong_root_key
from tenants.models import Installation
from tenants.root_keys import root_keyring


class Command(BaseCommand):
    help = "Make the key files on a first start; on a later one, refuse keys that are not this database's."

    def handle(self, *args: Any, **options: Any) -> None:
        environment = settings.ENVIRONMENT
        # One start at a time: two must not both find no key and make two.
        with transaction.atomic():
            Installation.objects.select_for_update().first()
            stored = Installation.objects.values_list("root_key_fingerprint", flat=True).first()
            if stored is not None and not environment.root_key_file.exists():
                raise ConfigurationError(
                    f"JOBSERVICE_ROOT_KEY_FILE: {environment.root_key_file} is missing, and this database holds values "
                    "sealed under it; put the file back."
                )
            made = create_key_files(
                root_key_file=environment.root_key_file, message_key_file=environment.message_key_file
            )
            load_message_key(environment.message_key_file)
            keyring = root_keyring()
            if stored is None:
                Installation.objects.create(id=1, root_key_fingerprint=keyring.fingerprint())
            else:
                refuse_wrong_root_key(stored)
        for path in made:
            self.stdout.write(f"made {path}")
