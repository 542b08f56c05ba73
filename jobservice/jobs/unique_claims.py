"""The rows that hold unique keys: taking, releasing, forgetting and pruning them. Who may take one from whom is decided
in `uniqueness.py`, which explains it all.

Each verb runs in the transaction of whatever moves the job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.errors import Conflict, Unavailable
from jobservice.ids import JOB, show_id
from jobservice.jobs.lanes import erased_is_a_conflict
from jobservice.jobs.unique_option import WAITING, HeldWhile
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
PRUNE_LIMIT = 1000
# A key is lost and free again a moment later only when its holder ended in between.
TRIES = 20


class UniqueConflict(Conflict):
    """Another job holds the unique key. `existing_id` names it; None when the caller may not see it, or when it is one
    of a group of which nothing was stored."""

    code = "unique-conflict"

    def __init__(self, existing_id: UUID | None, *, holder: str = "Another job") -> None:
        shown = None if existing_id is None else show_id(JOB, existing_id)
        super().__init__(f"{holder if shown is None else f'Job {shown}'} holds this unique key.")
        self.existing_id = shown
        self.holder_id = existing_id


class QueueMissing(Exception):
    """A queue that a job is to be in is not there yet. No key was taken."""


@dataclass(frozen=True, slots=True)
class Take:
    """A key that a job would take: if it is free, or from the job `from_job`."""

    hash: bytes
    job_id: UUID
    held_while: HeldWhile
    from_job: UUID | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key as far as the last look told. `queue` is None when the job is not there any more."""

    job_id: UUID
    queue: str | None
    is_held: bool
    is_free: bool

    def is_seen_by(self, queues: Collection[str] | None) -> bool:
        """Whether an API key that is limited to these queues may know of the job."""
        return self.queue is not None and (queues is None or self.queue in queues)


def take_claims(tenant_id: UUID, takes: Iterable[Take], *, in_queues: Collection[str] = ()) -> dict[bytes, Any]:
    """Take those of the keys that can be taken; by hash, what `take_claims.sql` tells of each that was.

    Raises `Conflict` when the tenant was erased meanwhile, and `QueueMissing` when one of `in_queues` is not there.
    """
    wanted = list(takes)
    parameters = {
        "tenant": tenant_id,
        "hashes": [take.hash for take in wanted],
        "jobs": [take.job_id for take in wanted],
        "kinds": [take.held_while for take in wanted],
        "from_jobs": [take.from_job for take in wanted],
        "in_queues": list(in_queues),
    }
    with erased_is_a_conflict():
        rows = run_statement(_SQL / "take_claims.sql", parameters)
    if any(row.hash is None for row in rows):
        raise QueueMissing
    return {bytes(row.hash): row for row in rows}


def find_holders(tenant_id: UUID, hashes: Collection[bytes]) -> dict[bytes, Holder]:
    """Who holds these keys, by hash; none for a key that nobody has a claim on."""
    if not hashes:
        return {}
    rows = run_statement(_SQL / "find_claims.sql", {"tenant": tenant_id, "hashes": list(hashes)})
    return {bytes(row.hash): Holder(row.job_id, row.queue, row.held_while is not None, row.is_free) for row in rows}


def release_ended(rows: Sequence[Any]) -> None:
    """The jobs of these rows of `job` are over: they hold their keys no more."""
    _release([(row.tenant_id, row.unique_hash, row.id) for row in rows if row.unique_hash is not None])


def release_started(rows: Sequence[Any]) -> None:
    """Those of these jobs that hold their key while they wait have started for the first time: they hold it no more.

    A first run that was given back comes by again, and finds nothing to release.
    """
    first = [row for row in rows if row.unique_while == WAITING and row.attempt == 1]
    _release([(row.tenant_id, row.unique_hash, row.job_id) for row in first])


def retake_key(
    tenant_id: UUID, job_id: UUID, *, hashed: bytes, held_while: HeldWhile, queues: Collection[str] | None
) -> None:
    """Take the key of a job that is over and will run again. Raises `UniqueConflict` when another job holds it."""
    for _ in range(TRIES):
        if take_claims(tenant_id, [Take(hashed, job_id, held_while, from_job=job_id)]):
            return
        holder = find_holders(tenant_id, [hashed]).get(hashed)
        if holder is not None and not holder.is_free and holder.job_id != job_id:
            raise UniqueConflict(holder.job_id if holder.is_seen_by(queues) else None)
    raise busy()


def begin_periods(tenant_id: UUID, periods: Mapping[bytes, tuple[UUID, int]]) -> None:
    """Hold these keys for so many seconds from the acceptance at least, whatever becomes of their jobs, which are named
    with the seconds and stored already."""
    if periods:
        parameters = {
            "tenant": tenant_id,
            "hashes": list(periods),
            "jobs": [job_id for job_id, _ in periods.values()],
            "periods": [seconds for _, seconds in periods.values()],
        }
        run_statement(_SQL / "begin_unique_periods.sql", parameters)


def forget_key(tenant_id: UUID, job_id: UUID, hashed: bytes) -> None:
    """Release the key of a job that is erased, its period too."""
    run_statement(_SQL / "forget_claim.sql", {"tenant": tenant_id, "hash": hashed, "job": job_id})


def prune_unique_claims() -> int:
    """Remove a batch of claims past their period that no job holds. The number removed. Run by the dispatcher."""
    with transaction.atomic():
        return len(run_statement(_SQL / "prune_unique_claims.sql", {"limit": PRUNE_LIMIT}))


def busy() -> Unavailable:
    """Holders came and went faster than this request could look."""
    return Unavailable("The unique key changes hands too fast just now; try again.")


def _release(held: Sequence[tuple[UUID, Any, UUID]]) -> None:
    if held:
        parameters = {
            "tenants": [tenant_id for tenant_id, _, _ in held],
            "hashes": [bytes(hashed) for _, hashed, _ in held],
            "jobs": [job_id for _, _, job_id in held],
        }
        run_statement(_SQL / "release_claims.sql", parameters)
