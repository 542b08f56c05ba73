"""Rotation of a tenant's data key, while its jobs run.

1. A new version begins to seal in every process within a second. What is sealed under the older ones still opens.
2. Every sealed value of the tenant is sealed anew in small batches, by compare-and-set on the row and its old bytes:
   a value that was replaced or deleted meanwhile is left alone. Nothing is locked beyond the rows of one batch.
3. Once nobody can still store a value under an older version, the values are visited again for those that were.
4. The older versions are retired: what claims to be sealed under them is refused from then on.
A run that was cut short goes on at the next one. A value that opens under no version stays as it is and is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jobservice.crypto.envelope import TenantKey, open_sealed, seal, sealed_under
from jobservice.database import wait_for_running_writes
from jobservice.errors import Unreadable
from jobservice.jobs.sealed_columns import SEALED_COLUMNS, SealedColumn, SealedValue
from jobservice.logs import log_event
from tenants.context import tenant_tx
from tenants.data_keys import load_keys
from tenants.key_rotation import Rotation, begin_rotation, retire_older_versions, seconds_since_began

# How long after the new version began nobody can still be about to store a value under an older one without having
# locked a row yet: a process learns of the new version within a second, looks once more in the transaction that stores
# what it sealed, and the server ends that transaction when it then idles for five seconds.
SETTLE_SECONDS = 10.0
# How long a transaction that was writing then is waited for.
WRITES_SECONDS = 60.0
# A value is opened soon after it is read; payloads that wait for their turn are read again (`tenants/blobs.py`).
READ_SECONDS = 2.0
PAGE_ROWS = 1000
BATCH_ROWS = 200
BATCH_BYTES = 4 * 1024**2

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a run came to. `is_retired`: nothing is left under an older version, and none opens any more."""

    version: int
    is_resumed: bool
    resealed: int
    unreadable: int
    is_retired: bool


def rotate_tenant_key(tenant_id: UUID, *, progress: Progress, is_retired_anyway: bool = False) -> Resealed:
    """Rotate the tenant's data key, or complete a rotation that was cut short. Not in a transaction.

    The older versions are kept open when some value opens under none, unless `is_retired_anyway`, or when a
    transaction from before the rotation would not end.
    """
    rotation = begin_rotation(tenant_id)
    first, _ = _visit_all(rotation, progress)
    time.sleep(max(0.0, SETTLE_SECONDS - seconds_since_began(rotation)))
    is_settled = wait_for_running_writes(timeout_seconds=WRITES_SECONDS)
    second, unreadable = _visit_all(rotation, lambda count: progress(first + count))
    is_retired = is_settled and (unreadable == 0 or is_retired_anyway)
    if is_retired:
        time.sleep(READ_SECONDS if second else 0.0)
        retire_older_versions(rotation)
    return Resealed(rotation.version, rotation.is_resumed, first + second, unreadable, is_retired)


def _visit_all(rotation: Rotation, progress: Progress) -> tuple[int, int]:
    """(sealed anew, left because they open under no version), over every sealed column."""
    resealed = unreadable = 0
    with tenant_tx(rotation.tenant_id):
        keys = load_keys(rotation.tenant_id, stamp=0, is_retired_too=True).data
    for column in SEALED_COLUMNS:
        for batch in _old_values(column, rotation, keys):
            changed, failed = _reseal(column, rotation, keys, batch)
            resealed, unreadable = resealed + changed, unreadable + failed
            progress(resealed)
    return resealed, unreadable


def _old_values(column: SealedColumn, rotation: Rotation, keys: Mapping[int, TenantKey]) -> Iterator[list[Any]]:
    """Batches of the keys of rows under an older version, or one that never was. Each page is a short transaction."""
    after = column.least_key
    while True:
        with tenant_tx(rotation.tenant_id):
            page = column.read_page(rotation.tenant_id, after=after, limit=PAGE_ROWS)
        yield from split_batches([value for value in page if _is_old(value.version, rotation, keys)])
        if len(page) < PAGE_ROWS:
            return
        after = page[-1].key


def _is_old(version: int, rotation: Rotation, keys: Mapping[int, TenantKey]) -> bool:
    """A newer version is of a rotation after this one, which a run that fell behind must not undo."""
    return version < rotation.version or version not in keys


def split_batches(
    values: Sequence[SealedValue], *, max_rows: int = BATCH_ROWS, max_bytes: int = BATCH_BYTES
) -> Iterator[list[Any]]:
    """The keys of the values in batches bounded in rows and bytes; a value over the bound is a batch of its own."""
    batch: list[Any] = []
    size = 0
    for value in values:
        if batch and (len(batch) >= max_rows or size + value.size_bytes > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(value.key)
        size += value.size_bytes
    if batch:
        yield batch


def _reseal(
    column: SealedColumn, rotation: Rotation, keys: Mapping[int, TenantKey], batch: Sequence[Any]
) -> tuple[int, int]:
    """(sealed anew, unreadable) of one batch, in one short transaction each to read and to write."""
    with tenant_tx(rotation.tenant_id):
        stored = column.read_values(rotation.tenant_id, batch)
    replaced, unreadable = [], 0
    for key, old, place in stored:
        try:
            if not _is_old(sealed_under(old), rotation, keys):
                continue  # replaced since its page was read
            value = open_sealed(old, keys=keys, place=place)
        except Unreadable as error:
            unreadable += 1
            log_event("reseal_failed", level="error", tenant_id=str(rotation.tenant_id), code=error.code)
            continue
        replaced.append((key, old, seal(value, key=keys[rotation.version], place=place)))
    with tenant_tx(rotation.tenant_id):
        changed = column.replace_values(rotation.tenant_id, replaced) if replaced else 0
    return changed, unreadable
