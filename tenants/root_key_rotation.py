"""Rotation of the root key: a new version at its provider, and every tenant's keys wrapped anew under it.

1. Prepare: the provider gets the new version, which nothing uses yet, so that a file can be copied to every machine.
2. The database names the new version: from here on it wraps, and a process that lacks it loads the root keys again.
3. Every wrapped key is wrapped anew by compare-and-set, a tenant at a time, the installation's own last. A run that
   was cut short goes on where it stopped; nothing waits and nothing is refused meanwhile.
Old versions are kept: backups of the database need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from jobservice.crypto.root_key import RootKeys, wrapped_under
from jobservice.errors import Conflict, KeyProviderAway, SealingError, Unavailable
from jobservice.ids import TENANT, show_id
from jobservice.logs import log_event
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.installation_key import NO_TENANT, VERSION, InstallationKey
from tenants.installation_keys import INSTALLATION_KEYS
from tenants.models import DataKey, Installation, Tenant
from tenants.root_keys import reload_root_keyring, root_key_provider, root_keyring, version_in_use

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
    """Make a version, unless one is there that the database does not use yet; the version."""
    with _alone():
        return _prepare()


def rotate_root_key(*, progress: Callable[[int], None]) -> Rewrapped:
    """Use the prepared version, or make one, and wrap every key under it. `progress` is told how many are done.

    A rotation that was cut short is completed instead, without another version. Raises `Conflict` when one runs, and
    `KeyProviderAway` in the middle of it.
    """
    with _alone():
        if root_keyring().current_version == version_in_use():
            finished = _rewrap_all(progress)
            if finished.rewrapped:
                return finished
            _prepare()
        _use_newest_version()
        return _rewrap_all(progress)


def _prepare() -> int:
    if root_keyring().current_version == version_in_use():
        root_key_provider().add_version()
        reload_root_keyring()
    return root_keyring().current_version


def _use_newest_version() -> None:
    """Waits for whoever wraps a key at this moment under the version before, so that the walk finds that key too."""
    fingerprint = root_keyring().fingerprint()
    Installation.objects.update(root_key_fingerprint=fingerprint)
    log_event("root_key_rotated")


def _rewrap_all(progress: Callable[[int], None]) -> Rewrapped:
    keyring = root_keyring()
    total = Rewrapped(keyring.current_version)
    for tenant_id in _tenant_ids():
        total = total.plus(_rewrap_tenant(tenant_id, keyring))
        progress(total.rewrapped)
    for key in INSTALLATION_KEYS:
        total = total.plus(_rewrap_installation_key(key, keyring))
    return total


def _tenant_ids() -> Iterator[UUID]:
    """Every tenant, in pages by id: one that is made meanwhile comes last, and is wrapped under the new version."""
    last = UUID(int=0)
    while page := list(
        Tenant.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True)[:_TENANTS_PER_READ]
    ):
        yield from page
        last = page[-1]


def _rewrap_tenant(tenant_id: UUID, keyring: RootKeys) -> Rewrapped:
    """A tenant has a few keys. They are wrapped between the transactions, for that may be calls over the network."""
    rewrapped, remaining = [], 0
    with tenant_tx(tenant_id):
        rows = list(DataKey.objects.filter(tenant_id=tenant_id).order_by("id"))
    for row in rows:
        old = bytes(row.wrapped)
        try:
            if wrapped_under(old) != keyring.current_version:
                new = _rewrap(old, keyring, tenant=tenant_id, purpose=row.purpose, version=row.version)
                rewrapped.append((row.id, old, new))
        except KeyProviderAway:
            raise  # it is nothing about this key; the next run goes on here
        except (SealingError, Unavailable) as error:
            log_event("rewrap_failed", level="error", tenant_id=str(tenant_id), error_class=type(error).__name__)
            remaining += 1
    return Rewrapped(keyring.current_version, _replace(tenant_id, rewrapped, keyring.current_version), remaining)


def _replace(tenant_id: UUID, rewrapped: Sequence[tuple[UUID, bytes, bytes]], root_version: int) -> int:
    """Compare-and-set: a key that was shredded or wrapped anew meanwhile is not written back."""
    if not rewrapped:
        return 0
    with tenant_tx(tenant_id):
        keys = DataKey.objects.filter(tenant_id=tenant_id)
        count = sum(keys.filter(id=row_id, wrapped=old).update(wrapped=new) for row_id, old, new in rewrapped)
        if count:
            version = {"root_key_version": root_version}
            note_act(tenant_id, "tenant.key-rewrapped", show_id(TENANT, tenant_id), after=version)
    return count


def _rewrap_installation_key(key: InstallationKey, keyring: RootKeys) -> Rewrapped:
    """By compare-and-set too."""
    version = keyring.current_version
    stored = Installation.objects.values_list(key.column, flat=True).get()
    if stored is None:
        return Rewrapped(version)
    old = bytes(stored)
    try:
        if wrapped_under(old) == version:
            return Rewrapped(version)
        new = _rewrap(old, keyring, tenant=NO_TENANT, purpose=key.purpose, version=VERSION)
    except KeyProviderAway:
        raise
    except (SealingError, Unavailable) as error:
        log_event("rewrap_failed", level="error", kind=key.purpose, error_class=type(error).__name__)
        return Rewrapped(version, remaining=1)
    return Rewrapped(version, Installation.objects.filter(**{key.column: old}).update(**{key.column: new}))


def _rewrap(wrapped: bytes, keyring: RootKeys, *, tenant: UUID, purpose: str, version: int) -> bytes:
    secret = keyring.unwrap(wrapped, tenant=tenant, purpose=purpose, version=version)
    return keyring.wrap(secret, tenant=tenant, purpose=purpose, version=version)


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
