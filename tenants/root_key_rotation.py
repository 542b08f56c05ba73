"""Rotation of the root key: a new version in the key file, and every tenant's keys wrapped anew under it.

1. Prepare: the file gets the new version, which nothing uses yet, so that it can be copied to every machine.
2. The database names the new version: from here on it wraps, and a process that lacks it reads its key file again.
3. Every wrapped key of every tenant is wrapped anew, a tenant at a time, by compare-and-set. A run that was cut short
   goes on where it stopped; nothing waits and nothing is refused meanwhile.
Old versions stay in the file: backups of the database need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection

from jobservice.crypto.root_key import RootKeyring, add_root_key_version, fingerprint_version, wrapped_under
from jobservice.errors import Conflict, SealingError, Unavailable
from jobservice.logs import log_event
from tenants.context import tenant_tx
from tenants.models import DataKey, Installation, Tenant
from tenants.root_keys import forget_root_keyring, root_keyring

_TENANTS_PER_READ = 500


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many keys were wrapped anew under `version`, and how many still need an older one."""

    version: int
    rewrapped: int = 0
    remaining: int = 0

    def plus(self, other: Rewrapped) -> Rewrapped:
        return Rewrapped(self.version, self.rewrapped + other.rewrapped, self.remaining + other.remaining)


def prepare_root_key() -> int:
    """Add a version to the key file, unless one is there that the database does not use yet; the version."""
    with _alone():
        return _prepare()


def rotate_root_key(*, progress: Callable[[int], None]) -> Rewrapped:
    """Use the prepared version, or make one, and wrap every key under it. `progress` is told how many are done.

    A rotation that was cut short is completed instead, without another version. Raises `Conflict` when one runs.
    """
    with _alone():
        if root_keyring().current_version == _version_in_use():
            finished = _rewrap_all(progress)
            if finished.rewrapped:
                return finished
            _prepare()
        _use_newest_version()
        return _rewrap_all(progress)


def _prepare() -> int:
    if root_keyring().current_version == _version_in_use():
        add_root_key_version(settings.ENVIRONMENT.root_key_file)
        forget_root_keyring()
    return root_keyring().current_version


def _version_in_use() -> int:
    return fingerprint_version(Installation.objects.values_list("root_key_fingerprint", flat=True).get())


def _use_newest_version() -> None:
    """Waits for whoever wraps a key at this moment under the version before, so that the walk finds that key too."""
    Installation.objects.update(root_key_fingerprint=root_keyring().fingerprint())
    log_event("root_key_rotated")


def _rewrap_all(progress: Callable[[int], None]) -> Rewrapped:
    keyring = root_keyring()
    total = Rewrapped(keyring.current_version)
    for tenant_id in _tenant_ids():
        total = total.plus(_rewrap_tenant(tenant_id, keyring))
        progress(total.rewrapped)
    return total


def _tenant_ids() -> Iterator[UUID]:
    """Every tenant, in pages by id: one that is made meanwhile comes last, and is wrapped under the new version."""
    last = UUID(int=0)
    while page := list(
        Tenant.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True)[:_TENANTS_PER_READ]
    ):
        yield from page
        last = page[-1]


def _rewrap_tenant(tenant_id: UUID, keyring: RootKeyring) -> Rewrapped:
    """One short transaction: a tenant has a few keys."""
    rewrapped = remaining = 0
    with tenant_tx(tenant_id):
        for row in DataKey.objects.filter(tenant_id=tenant_id).order_by("id"):
            old = bytes(row.wrapped)
            try:
                if wrapped_under(old) == keyring.current_version:
                    continue
                new = _rewrap(row, old, keyring)
            except (SealingError, Unavailable) as error:
                log_event("rewrap_failed", level="error", tenant_id=str(tenant_id), error_class=type(error).__name__)
                remaining += 1
                continue
            # Compare-and-set: a key that was shredded or wrapped anew meanwhile is not written back.
            rewrapped += DataKey.objects.filter(id=row.id, wrapped=old).update(wrapped=new)
    return Rewrapped(keyring.current_version, rewrapped, remaining)


def _rewrap(row: DataKey, wrapped: bytes, keyring: RootKeyring) -> bytes:
    secret = keyring.unwrap(wrapped, tenant=row.tenant_id, purpose=row.purpose, version=row.version)
    return keyring.wrap(secret, tenant=row.tenant_id, purpose=row.purpose, version=row.version)


@contextmanager
def _alone() -> Iterator[None]:
    """One rotation of the root key at a time, or two of them would make a version each."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('rotate_root_key'))")
        if not cursor.fetchone()[0]:
            raise Conflict("The root key is being rotated already.")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('rotate_root_key'))")
