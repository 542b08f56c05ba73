"""A tenant's own keys: made with the tenant, wrapped by the root key, cached opened for a while in each process.

Only processes that seal or open (web, worker, the operator's commands) load the root key; the dispatcher never does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.db import connection

from jobservice.crypto.envelope import Place, TenantKey, open_sealed, seal
from jobservice.crypto.root_key import RootKeyring, load_root_keyring
from jobservice.errors import SealingError
from jobservice.ids import new_id
from tenants.context import tenant_tx, tenants_tx
from tenants.models import DataKey

CACHE_SECONDS = 300.0
_CACHE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class OpenedKeys:
    """A tenant's unwrapped keys: every version of the data key, and the index key of its keyed hashes."""

    data: dict[int, TenantKey] = field(repr=False)
    index: bytes = field(repr=False)
    opened_at: float

    @property
    def current(self) -> TenantKey:
        return self.data[max(self.data)]


_cache: dict[UUID, OpenedKeys] = {}


@lru_cache(maxsize=1)
def root_keyring() -> RootKeyring:
    """The root keys of this process. Raises `ConfigurationError`."""
    return load_root_keyring(settings.ENVIRONMENT.root_key_file)


def create_data_keys(tenant_id: UUID) -> None:
    """Make a new tenant's first keys. Run in the transaction that makes the tenant."""
    for purpose in ("data", "index"):
        wrapped = root_keyring().wrap(os.urandom(32), tenant=tenant_id, purpose=purpose, version=1)
        DataKey.objects.create(id=new_id(), tenant_id=tenant_id, purpose=purpose, version=1, wrapped=wrapped)


def tenant_keys(tenant_id: UUID) -> OpenedKeys:
    """The tenant's opened keys, from the cache or the database. Raises `SealingError` when it has none."""
    cached = _cache.get(tenant_id)
    if cached is not None and time.monotonic() - cached.opened_at < CACHE_SECONDS:
        return cached
    opened = _load_keys(tenant_id)
    if len(_cache) >= _CACHE_LIMIT:
        _cache.clear()
    _cache[tenant_id] = opened
    return opened


def forget_opened_keys(tenant_id: UUID | None = None) -> None:
    """Drop one tenant's opened keys from the cache, or every tenant's."""
    if tenant_id is None:
        _cache.clear()
    else:
        _cache.pop(tenant_id, None)


def seal_column(tenant_id: UUID, *, table: str, column: str, row_id: UUID, plaintext: bytes) -> bytes:
    """Seal a value that is stored in a row's own column; it opens in that place only."""
    return seal(plaintext, key=tenant_keys(tenant_id).current, place=Place(tenant_id, table, column, row_id))


def open_column(tenant_id: UUID, *, table: str, column: str, row_id: UUID, sealed: bytes) -> bytes:
    """Open what `seal_column` sealed for the same place. Raises `Unreadable`."""
    place = Place(tenant_id, table, column, row_id)
    return open_sealed(bytes(sealed), keys=tenant_keys(tenant_id).data, place=place)


def _load_keys(tenant_id: UUID) -> OpenedKeys:
    data: dict[int, TenantKey] = {}
    index = b""
    for row in _wrapped_keys(tenant_id):
        secret = root_keyring().unwrap(bytes(row.wrapped), tenant=tenant_id, purpose=row.purpose, version=row.version)
        if row.purpose == "data":
            data[row.version] = TenantKey(row.version, secret)
        else:
            index = secret
    if not data or not index:
        raise SealingError("The tenant has no keys.")
    return OpenedKeys(data, index, time.monotonic())


def _wrapped_keys(tenant_id: UUID) -> list[DataKey]:
    """Read as this process's role may: inside a running transaction under its own setting, else in one made for it."""
    rows = DataKey.objects.filter(tenant_id=tenant_id)
    if connection.in_atomic_block:
        return list(rows)
    with tenants_tx([tenant_id]) if settings.ENVIRONMENT.process == "worker" else tenant_tx(tenant_id):
        return list(rows)
