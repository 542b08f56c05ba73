"""`manage.py create_keys`: the root, message and audit keys of a first start, and the check of every later one."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from jobservice.crypto.message_mac import create_message_key_file, load_message_key
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway
from tenants.boot import refuse_wrong_root_key
from tenants.installation_keys import ensure_installation_keys
from tenants.models import Installation
from tenants.root_keys import root_key_provider, root_keyring


class Command(BaseCommand):
    help = "Make the key files on a first start; on a later one, refuse keys that are not this database's."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = _make_keys()
            ensure_installation_keys()
        except KeyProviderAway as error:
            raise ConfigurationError(error.cause) from None
        for path in made:
            self.stdout.write(f"made {path}")


def _make_keys() -> list[Path]:
    # One start at a time: two must not both find no key and make two.
    with transaction.atomic():
        Installation.objects.select_for_update().first()
        stored = Installation.objects.values_list("root_key_fingerprint", flat=True).first()
        made = [root_key_provider().create(is_first=stored is None), _make_message_key()]
        load_message_key(settings.ENVIRONMENT.message_key_file)
        keyring = root_keyring()
        if stored is None:
            Installation.objects.create(id=1, root_key_fingerprint=keyring.fingerprint())
        else:
            refuse_wrong_root_key(stored)
    return [path for path in made if path is not None]


def _make_message_key() -> Path | None:
    path: Path = settings.ENVIRONMENT.message_key_file
    try:
        create_message_key_file(path)
    except FileExistsError:
        return None
    return path
