"""A tenant's own keys: made with the tenant, wrapped by the root key, cached opened for a while in each process.

A change of a tenant's keys is known in every process within a second (`key_changes.py`). Only processes that seal or
open (web, worker, the operator's commands) load the root key; the dispatcher never does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q, Subquery

from jobservice.crypto.envelope import Place, TenantKey, open_sealed, seal
from jobservice.errors import KeyNotHeld, SealingError, Unavailable
from jobservice.ids import new_id
from jobservice.logs import log_event
from tenants.context import own_role_tx
from tenants.key_changes import forget_key_stamp, key_stamp
from tenants.models import DataKey, Tenant
from tenants.root_keys import lock_version_in_use, root_key_provider, unwrap, version_in_use, wrap

CACHE_SECONDS = 300.0
AWAY_SECONDS = 5.0
_CACHE_LIMIT = 10_000
DATA, INDEX = "data", "index"


@dataclass(frozen=True, slots=True)
class OpenedKeys:
    """A tenant's unwrapped keys: the versions of the data key that still open, and the index key of keyed hashes."""

    data: dict[int, TenantKey] = field(repr=False)
    index: bytes = field(repr=False)
    opened_at: float
    stamp: int

    @property
    def current(self) -> TenantKey:
        return self.data[max(self.data)]


_cache: dict[UUID, OpenedKeys] = {}


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key not stored yet, wrapped under a version of the root key."""

    tenant_id: UUID
    purpose: str
    version: int
    root_version: int
    secret: bytes = field(repr=False)
    wrapped: bytes


def make_data_keys(tenant_id: UUID) -> list[NewKey]:
    """A new tenant's first keys. Not in a transaction: to wrap may be a call over the network."""
    return [make_key(tenant_id, purpose=purpose, version=1) for purpose in (DATA, INDEX)]


def make_key(tenant_id: UUID, *, purpose: str, version: int) -> NewKey:
    """One random key, wrapped as it is wrapped now. Not in a transaction."""
    return _wrap_new(tenant_id, purpose, version, secret=os.urandom(32), root_version=version_in_use())


def store_key(key: NewKey) -> None:
    """Store it, in a transaction of the tenant, wrapped anew if the root key was rotated this very moment."""
    root_version = lock_version_in_use()
    if key.root_version != root_version:
        key = _wrap_new(key.tenant_id, key.purpose, key.version, secret=key.secret, root_version=root_version)
    DataKey.objects.create(
        id=new_id(), tenant_id=key.tenant_id, purpose=key.purpose, version=key.version, wrapped=key.wrapped
    )


def _wrap_new(tenant_id: UUID, purpose: str, version: int, *, secret: bytes, root_version: int) -> NewKey:
    wrapped = wrap(secret, under=root_version, tenant=tenant_id, purpose=purpose, version=version)
    return NewKey(tenant_id, purpose, version, root_version, secret, wrapped)


def tenant_keys(tenant_id: UUID) -> OpenedKeys:
    """The tenant's opened keys, from the cache or the database.

    Raises `SealingError` when it has none, and `Unavailable` when they cannot be unwrapped at the moment.
    """
    # Looked at before the keys are loaded, so that keys loaded during a change are loaded once more.
    stamp = key_stamp()
    cached = _cache.get(tenant_id)
    if cached is not None and cached.stamp != stamp:
        # Somebody's keys changed. Nothing opened before is used again, so nothing of it is kept.
        _cache.clear()
    elif cached is not None and time.monotonic() - cached.opened_at < _fresh_seconds():
        return cached
    opened = load_keys(tenant_id, stamp=stamp)
    if len(_cache) >= _CACHE_LIMIT:
        _cache.clear()
    _cache[tenant_id] = opened
    return opened


def are_keys_at_hand(tenant_id: UUID) -> bool:
    """False when the tenant's keys are out of reach for the moment; what is wrong with them for good counts as there.

    Not in a transaction. What follows finds the keys in the cache.
    """
    try:
        tenant_keys(tenant_id)
    except Unavailable as error:
        log_event("keys_out_of_reach", level="warning", tenant_id=tenant_id, error_class=type(error).__name__)
        return False
    except SealingError:
        return True
    return True


def _fresh_seconds() -> float:
    """While the root key is out of reach, what is kept in its place is looked at often, for it ends."""
    return min(CACHE_SECONDS, AWAY_SECONDS) if root_key_provider().is_away else CACHE_SECONDS


def forget_opened_keys(tenant_id: UUID | None = None) -> None:
    """Drop one tenant's opened keys from the cache, or every tenant's."""
    if tenant_id is None:
        _cache.clear()
        forget_key_stamp()
    else:
        _cache.pop(tenant_id, None)


def seal_column(tenant_id: UUID, *, table: str, column: str, row_id: UUID, plaintext: bytes) -> bytes:
    """Seal a value that is stored in a row's own column; it opens in that place only."""
    return seal(plaintext, key=tenant_keys(tenant_id).current, place=Place(tenant_id, table, column, row_id))


def open_column(tenant_id: UUID, *, table: str, column: str, row_id: UUID, sealed: bytes) -> bytes:
    """Open what `seal_column` sealed for the same place. Raises `Unreadable`."""
    return open_value(sealed, place=Place(tenant_id, table, column, row_id))


def open_value(sealed: bytes, *, place: Place) -> bytes:
    """The value that was sealed for this place of its tenant. Raises `Unreadable`."""
    try:
        return open_sealed(bytes(sealed), keys=tenant_keys(place.tenant).data, place=place)
    except KeyNotHeld:
        # A rotation within this second: another process seals under a version that this one has not loaded.
        forget_opened_keys(place.tenant)
        return open_sealed(bytes(sealed), keys=tenant_keys(place.tenant).data, place=place)


def load_keys(tenant_id: UUID, *, stamp: int, is_retired_too: bool = False) -> OpenedKeys:
    """The keys as they are stored now, retired versions left out. Raises `SealingError` when there are none."""
    data: dict[int, TenantKey] = {}
    index = b""
    for row in _wrapped_keys(tenant_id, is_retired_too):
        secret = unwrap(bytes(row.wrapped), tenant=tenant_id, purpose=row.purpose, version=row.version)
        if row.purpose == DATA:
            data[row.version] = TenantKey(row.version, secret)
        else:
            index = secret
    if not data or not index:
        raise SealingError("The tenant has no keys.")
    return OpenedKeys(data, index, time.monotonic(), stamp)


def _wrapped_keys(tenant_id: UUID, is_retired_too: bool) -> list[DataKey]:
    rows = DataKey.objects.filter(tenant_id=tenant_id)
    if not is_retired_too:
        oldest = Tenant.objects.filter(id=tenant_id).values("min_open_version")
        rows = rows.filter(Q(purpose=INDEX) | Q(version__gte=Subquery(oldest)))
    with own_role_tx(tenant_id):
        return list(rows)
