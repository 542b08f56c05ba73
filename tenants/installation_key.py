"""A key of the installation and of no tenant: 32 random bytes, stored wrapped under the root key as tenants' keys are.

A process opens it once and keeps it: nobody who needs it waits for whoever keeps the root key, and while that is away
all goes on. `root_key_rotation.py` wraps it anew; its value stays.
"""

from __future__ import annotations

import os
from uuid import UUID

from django.db import connection, transaction

from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError, Unavailable
from jobservice.logs import log_event
from tenants.models import Installation
from tenants.root_keys import lock_version_in_use, unwrap, version_in_use, wrap

# What it is wrapped for: no tenant's key can be put in its place.
NO_TENANT = UUID(int=0)
VERSION = 1
_KEY_BYTES = 32


class InstallationKey:
    """`purpose` names what it is wrapped for, and its column. `use` is a condition in SQL that holds while something
    needs this very key, and `used` says so in words.
    """

    def __init__(self, purpose: str, *, use: str, used: str) -> None:
        self.purpose = purpose
        self.column = f"{purpose}_key"
        self._use = use
        self._used = used
        self._opened: bytes | None = None

    def open(self) -> bytes:
        """The key, opened when this process first needs it.

        Raises `ConfigurationError` when there is none, `SealingError` for one that does not open, and `Unavailable`.
        """
        if self._opened is None:
            stored = Installation.objects.values_list(self.column, flat=True).first()
            if stored is None:
                self._refuse_a_second_one()
            self._opened = self.unwrap(None if stored is None else bytes(stored))
        return self._opened

    def unwrap(self, wrapped: bytes | None) -> bytes:
        """The key that is stored so. Raises as `open`."""
        if wrapped is None:
            sentence = f"The database has no {self.purpose} key yet; run `manage.py create_keys` first."
            raise ConfigurationError(sentence)
        return unwrap(wrapped, tenant=NO_TENANT, purpose=self.purpose, version=VERSION)

    def ensure(self) -> None:
        """Make the key unless there is one, and open it. As the owner, and not in a transaction: to wrap may be a call
        over the network. Raises as `load`.
        """
        if Installation.objects.filter(**{f"{self.column}__isnull": True}).exists():
            self._refuse_a_second_one()
            self._make()
        self.load()

    def load(self) -> None:
        """Open the key before it is needed. One that does not open stops what needs it, and nothing else.

        Raises `KeyProviderAway`, and `ConfigurationError` when there is none.
        """
        try:
            self.open()
        except KeyProviderAway:
            raise
        except (SealingError, Unavailable) as error:
            log_event(f"{self.column}_unusable", level="error", error_class=type(error).__name__)

    def forget(self) -> None:
        """Open it anew when it is next needed."""
        self._opened = None

    def _refuse_a_second_one(self) -> None:
        """Another key than the one that was lost does nothing for what that one did. Raises `ConfigurationError`."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS ({self._use})")
            (is_used,) = cursor.fetchone()
        if is_used:
            raise ConfigurationError(
                f"The {self.purpose} key was removed from the database (installation.{self.column}), though "
                f"{self._used} it; restore it from a backup."
            )

    def _make(self) -> None:
        secret, root_version = os.urandom(_KEY_BYTES), version_in_use()
        wrapped = self._wrap(secret, root_version)
        with transaction.atomic():
            # A rotation waits for this lock, and finds the key; of two that make one, the first stays.
            locked_version = lock_version_in_use()
            if locked_version != root_version:
                wrapped = self._wrap(secret, locked_version)
            Installation.objects.filter(**{f"{self.column}__isnull": True}).update(**{self.column: wrapped})

    def _wrap(self, secret: bytes, root_version: int) -> bytes:
        return wrap(secret, under=root_version, tenant=NO_TENANT, purpose=self.purpose, version=VERSION)
