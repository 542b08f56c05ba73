"""Erasure of a tenant, for good.

1. Shred, in one transaction: the tenant becomes a tombstone, its keys are deleted, and with them everything by which
   somebody could come in for it or something could run or be sent for it. Whoever adds a row of the tenant meanwhile
   waits for this transaction and is refused after it (`refuse_erased_tenant` of the schema).
2. Wait until the transactions that were writing then are over.
3. Sweep, in small batches: every row of the tenant in every table. Cut short, it goes on when it is run again.
After 1 nothing of the tenant opens any more in any process, a second later at the latest; a worker that still runs one
of its jobs finds its lease gone, and what it would record finds no row.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import OperationalError, connection
from django.db.models.functions import Now
from psycopg import errors, sql

from jobservice.database import wait_for_running_writes
from jobservice.errors import Unavailable
from jobservice.ids import TENANT, show_id
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.context import set_local, tenant_tx
from tenants.data_keys import forget_opened_keys
from tenants.key_changes import note_key_change
from tenants.models import Tenant
from tenants.tenancy import ERASED

_SQL = Path(__file__).resolve().parent / "sql"
# Live jobs, unique keys, lanes: in the order in which whoever records or accepts takes them. Accepts hold their lane
# until they commit, so once the lanes are gone no job is added, and the jobs and keys are looked at again. Deliveries
# last: an ending job makes one.
_SHREDDED = (
    "data_key",
    "api_key",
    "member",
    "signing_secret",
    "job_live",
    "unique_claim",
    "lane",
    "share",
    "claim_gate",
    "job_live",
    "unique_claim",
    "delivery_live",
)
_LOCK_TIMEOUT = "10s"
_TRIES = 5
_PAUSE_SECONDS = 0.2
_WRITES_SECONDS = 60.0
BATCH_ROWS = 2000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was removed, rows by table, and the tombstone's name.

    `is_settled`: no transaction from before the shred is left that could still add a row.
    """

    tombstone: str
    removed: Mapping[str, int]
    is_settled: bool


def erase_tenant(tenant_id: UUID, *, progress: Progress) -> Erasure:
    """Erase the tenant, or complete an erasure that was cut short. Not in a transaction.

    Raises `Unavailable` when the tenant's own running transactions would not let it be shredded.
    """
    tombstone = f"{ERASED}-{show_id(TENANT, tenant_id)}"
    removed = _shred_patiently(tenant_id, tombstone)
    forget_opened_keys(tenant_id)
    log_event("tenant_shredded", tenant_id=str(tenant_id))
    is_settled = wait_for_running_writes(timeout_seconds=_WRITES_SECONDS)
    for table in run_statement(_SQL / "owned_tables.sql", {}):
        while swept := _sweep_batch(tenant_id, table.name, table.keys):
            removed[table.name] += swept
            progress(removed.total())
    log_event("tenant_erased", tenant_id=str(tenant_id), count=removed.total())
    return Erasure(tombstone, {table: count for table, count in sorted(removed.items()) if count}, is_settled)


def _shred_patiently(tenant_id: UUID, tombstone: str) -> Counter[str]:
    """A worker and a dispatcher in the middle of their work may be in each other's way and ours: then once more."""
    for _ in range(_TRIES):
        try:
            return _shred(tenant_id, tombstone)
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.DeadlockDetected | errors.LockNotAvailable):
                raise
        time.sleep(_PAUSE_SECONDS)
    raise Unavailable("The tenant's work would not pause; nothing was erased. Run it again.")


def _shred(tenant_id: UUID, tombstone: str) -> Counter[str]:
    removed: Counter[str] = Counter()
    with tenant_tx(tenant_id):
        set_local("lock_timeout", _LOCK_TIMEOUT)
        # The new name locks the row against everybody who refers to it, as only a change of a unique column does.
        is_first = (
            Tenant.objects.filter(id=tenant_id)
            .exclude(status=ERASED)
            .update(status=ERASED, name=tombstone, erased_at=Now(), quotas={}, plan=None, own_quotas={})
        )
        for table in _SHREDDED:
            removed[table] += _delete_all(tenant_id, table)
        note_key_change()
        if is_first:
            note_act(tenant_id, "tenant.erased", show_id(TENANT, tenant_id))
    return removed


def _delete_all(tenant_id: UUID, table: str) -> int:
    statement = sql.SQL("DELETE FROM {table} WHERE tenant_id = %s").format(table=sql.Identifier(table))
    with connection.cursor() as cursor:
        cursor.execute(statement, [tenant_id])
        return int(cursor.rowcount)


def _sweep_batch(tenant_id: UUID, table: str, keys: list[str]) -> int:
    """Delete some of the tenant's rows, in one short transaction; how many."""
    columns = [sql.Identifier(key) for key in keys]
    statement = sql.SQL(
        "WITH batch AS MATERIALIZED (SELECT {columns} FROM {table} WHERE tenant_id = %s LIMIT %s) "
        "DELETE FROM {table} t USING batch b WHERE {same} AND t.tenant_id = %s"
    ).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(columns),
        same=sql.SQL(" AND ").join(sql.SQL("t.{0} = b.{0}").format(column) for column in columns),
    )
    with tenant_tx(tenant_id), connection.cursor() as cursor:
        cursor.execute(statement, [tenant_id, BATCH_ROWS, tenant_id])
        return int(cursor.rowcount)
