"""This process with its root key in a Vault of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from django.conf import settings

from jobservice.crypto import vault_client
from jobservice.key_settings import Credential, VaultSettings
from tenants.data_keys import forget_opened_keys
from tenants.installation_keys import ensure_installation_keys, forget_installation_keys
from tenants.models import Installation
from tenants.root_keys import forget_root_keyring, root_keyring
from tests.crypto.vault_server import VaultServer, running_vault


def vault_settings(server: VaultServer, **changes: Any) -> VaultSettings:
    made = VaultSettings(url=server.url, token=Credential("t-operator"), timeout_seconds=30.0)
    return replace(made, **changes)


@contextmanager
def vault_process(server: VaultServer, *, outage_seconds: float = 3600.0, **changes: Any) -> Iterator[None]:
    """A process that was started with these settings. It asks a Vault that was away again at once."""
    chosen = replace(
        settings.ENVIRONMENT,
        root_key_provider="vault",
        vault=vault_settings(server, **changes),
        key_outage_seconds=outage_seconds,
    )
    with patch.object(settings, "ENVIRONMENT", chosen), patch.object(vault_client, "REST_SECONDS", 0.0):
        restart()
        yield
    restart()


@contextmanager
def vault_installation(**options: Any) -> Iterator[VaultServer]:
    """A database made with a root key in Vault, as its first start leaves it."""
    stored = Installation.objects.values("root_key_fingerprint", "audit_key", "login_key").get()
    with running_vault() as server, vault_process(server, **options):
        fingerprint = root_keyring().fingerprint()
        Installation.objects.update(root_key_fingerprint=fingerprint, audit_key=None, login_key=None)
        ensure_installation_keys()
        try:
            yield server
        finally:
            Installation.objects.update(**stored)


def restart() -> None:
    """All that this process remembers of keys is gone."""
    forget_root_keyring()
    forget_opened_keys()
    forget_installation_keys()
