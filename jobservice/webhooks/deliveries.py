"""Deliveries on their way: claimed, leased and fenced like jobs, and recorded once.

The dispatcher claims and reaps, and sees nothing sealed; the worker starts, renews, releases and records. Every write
of a worker names the epoch of its claim; one under an older epoch changes nothing. What a try came to is written in
`delivery_records.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.crash_points import crash_point
from jobservice.crypto.envelope import OVERHEAD_BYTES
from jobservice.crypto.message_mac import Ref
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.delivery_refs import read_ref, ref_columns
from jobservice.webhooks.event_body import BODY_LIMIT_BYTES
from jobservice.webhooks.signing import Scheme
from tenants.context import tenants_tx

_SQL = Path(__file__).resolve().parent / "sql"
REAP_LIMIT = 500
RELEASE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A sealed value as it is stored; `sealed` is None when it was left where it is, or is gone."""

    id: UUID
    epoch: int | None
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedEndpoint:
    """Where an endpoint's deliveries go and how they are signed, as it is stored."""

    url: bytes = field(repr=False)
    headers: bytes | None = field(repr=False)
    scheme: Scheme
    has_own_secret: bool


@dataclass(frozen=True, slots=True)
class StartedDelivery:
    """A delivery this process holds under a lease, with all that its request is made of. `attempt` counts this try.

    It goes to a job's callback or to an endpoint; `endpoint` is None when that was deleted meanwhile. `job` is None for
    an event of the tenant, whose `details` are all there is to tell; `seq` counts the events of the job.
    """

    tenant_id: UUID
    delivery_id: UUID
    epoch: int
    attempt: int
    event_id: UUID
    event_type: str
    event_at: datetime
    job_id: UUID | None
    job: dict[str, Any] | None
    details: dict[str, Any] | None
    seq: int
    traceparent: str | None
    callback: StoredBlob | None
    endpoint_id: UUID | None
    endpoint: SealedEndpoint | None
    result: StoredBlob | None
    error: StoredBlob | None
    metadata: StoredBlob | None
    # Tries since the delivery was made or asked for anew: which step of the schedule it is at.
    tries: int = 1

    @property
    def ref(self) -> Ref:
        return Ref(self.tenant_id, self.delivery_id, self.epoch)


def return_deliveries(refs: Sequence[Ref]) -> int:
    """Give back claims that were never published: still due, their epoch spent. Run by the dispatcher."""
    return len(run_statement(_SQL / "return_deliveries.sql", ref_columns(refs))) if refs else 0


def start_deliveries(refs: Sequence[Ref], *, worker_id: UUID, lease_seconds: float) -> list[StartedDelivery]:
    """Start those still dispatched under the epoch the message names; the others are left out. One transaction.

    Those whose endpoint is paused or disabled are held.
    """
    parameters = {**ref_columns(refs), "worker": worker_id, "lease_seconds": lease_seconds}
    with tenants_tx(ref.tenant_id for ref in refs):
        found = run_statement(_SQL / "start_deliveries.sql", parameters)
        started = [row for row in found if not row.is_held]
        crash_point("deliver.before_start")
        ours = {
            "tenants": [row.tenant_id for row in started],
            "deliveries": [row.delivery_id for row in started],
            "result_limit": BODY_LIMIT_BYTES + OVERHEAD_BYTES,
        }
        rows = run_statement(_SQL / "read_started_deliveries.sql", ours) if started else []
    crash_point("deliver.started")
    return [_started(row) for row in rows]


def renew_deliveries(refs: Sequence[Ref], *, worker_id: UUID, lease_seconds: float) -> frozenset[Ref]:
    """Prolong the leases this worker still holds. A ref missing from the answer belongs to somebody else: stop it."""
    parameters = {**ref_columns(refs), "worker": worker_id, "lease_seconds": lease_seconds}
    with tenants_tx(ref.tenant_id for ref in refs):
        return frozenset(read_ref(row) for row in run_statement(_SQL / "renew_deliveries.sql", parameters))


def release_deliveries(refs: Sequence[Ref], *, worker_id: UUID) -> int:
    """Give started deliveries back: due again, a new epoch, no attempt counted. The number given back."""
    with tenants_tx(ref.tenant_id for ref in refs):
        return len(run_statement(_SQL / "release_deliveries.sql", {**ref_columns(refs), "worker": worker_id}))


def reap_deliveries() -> int:
    """Take back deliveries whose lease ended: due again. The number taken back. Run by the dispatcher."""
    count = len(run_statement(_SQL / "reap_deliveries.sql", {"limit": REAP_LIMIT}))
    if count:
        crash_point("deliver.reaped")
        log_event("deliveries_reaped", level="debug", count=count)
    return count


def release_held_deliveries() -> int:
    """Make held deliveries pending whose endpoint takes some again, or is gone; the number. Run by the dispatcher."""
    return len(run_statement(_SQL / "release_held.sql", {"limit": RELEASE_LIMIT}))


def _started(row: Any) -> StartedDelivery:
    return StartedDelivery(
        tenant_id=row.tenant_id,
        delivery_id=row.delivery_id,
        epoch=row.epoch,
        attempt=row.attempt,
        event_id=row.event_id,
        event_type=row.type,
        event_at=row.at,
        job_id=row.job_id,
        job=row.job,
        details=row.details,
        seq=row.seq,
        traceparent=row.traceparent,
        callback=_blob(row.callback_id, None, row.callback_sealed),
        endpoint_id=row.endpoint_id,
        endpoint=_endpoint(row),
        tries=row.tries,
        result=_blob(row.result_id, row.result_epoch, row.result_sealed),
        error=_blob(row.error_id, row.error_epoch, row.error_sealed),
        metadata=_blob(row.metadata_id, None, row.metadata_sealed),
    )


def _blob(blob_id: UUID | None, epoch: int | None, sealed: Any) -> StoredBlob | None:
    return None if blob_id is None else StoredBlob(blob_id, epoch, _bytes(sealed))


def _endpoint(row: Any) -> SealedEndpoint | None:
    if row.url_sealed is None:
        return None
    return SealedEndpoint(bytes(row.url_sealed), _bytes(row.headers_sealed), row.scheme, row.has_own_secret)


def _bytes(sealed: Any) -> bytes | None:
    return None if sealed is None else bytes(sealed)
