"""What a tenant holds and uses, counted for its quotas of volume: `open_jobs`, `jobs_per_day`, `stored_bytes`.

The transaction that stores, ends, retries or erases jobs moves the counters too, as its last statement that locks
anything: after shares and lanes, tenants in order. So they are what the rows say at every commit, and a job that is
rolled back was never counted.

A tenant's numbers are the sums over `SLOTS` rows, so that its accepts do not stand in line behind one row. Each slot
may be filled up to its part of the limit, and the parts make up the limit: as long as each slot keeps to its own, no
interleaving exceeds it. Only who finds no room in a slot locks all of them, sees the exact sum, and is refused, or
spreads the sum evenly over the slots again. What runs leave (results, errors) is counted wherever it falls: while a
slot is beyond its part, every accept looks at all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from jobservice.errors import QuotaExceeded
from jobservice.ids import TENANT, show_id
from jobservice.statements import run_statement
from tenants.audit import note_act
from tenants.blobs import SealedBlob
from tenants.context import tenant_tx
from tenants.quotas import VolumeLimits

_SQL = Path(__file__).resolve().parent / "sql"
SLOTS = 16
# What counts as stored. Progress, log lines and the answers of endpoints are bounded for each run, and do not.
COUNTED_KINDS = ("payload", "metadata", "callback_url", "result", "error")


@dataclass(frozen=True, slots=True)
class Volume:
    """Jobs and bytes by which a counter moves, or that it has. Bytes as they are sealed."""

    open_jobs: int = 0
    stored_bytes: int = 0
    jobs_of_day: int = 0

    def __add__(self, other: Volume) -> Volume:
        return Volume(
            self.open_jobs + other.open_jobs,
            self.stored_bytes + other.stored_bytes,
            self.jobs_of_day + other.jobs_of_day,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has in use, on a day of UTC."""

    volume: Volume
    day: date

    @property
    def day_ends_at(self) -> datetime:
        return datetime.combine(self.day + timedelta(days=1), time(), UTC)

    def find_refusal(self, wanted: Volume, limits: VolumeLimits) -> QuotaExceeded | None:
        """Why so much more does not fit; None when it does. Whoever asks for no more of something has room for it."""
        used, after = self.volume, self.volume + wanted
        if wanted.open_jobs > 0 and _is_beyond(after.open_jobs, limits.open_jobs):
            return QuotaExceeded("open_jobs", limit=limits.open_jobs or 0, used=used.open_jobs)
        if wanted.jobs_of_day > 0 and _is_beyond(after.jobs_of_day, limits.jobs_per_day):
            return QuotaExceeded(
                "jobs_per_day", limit=limits.jobs_per_day or 0, used=used.jobs_of_day, resets_at=self.day_ends_at
            )
        if wanted.stored_bytes > 0 and _is_beyond(after.stored_bytes, limits.stored_bytes):
            return QuotaExceeded("stored_bytes", limit=limits.stored_bytes or 0, used=used.stored_bytes)
        return None


def take_room(tenant_id: UUID, wanted: Volume, limits: VolumeLimits) -> Usage | None:
    """Count what is new of the tenant. None: it fits, and is counted. Else nothing is, and this is what is in use.

    The last statement of the caller's transaction that locks anything.
    """
    parameters = {
        **_moves(wanted),
        "max_open_jobs": limits.open_jobs if wanted.open_jobs > 0 else None,
        "max_stored_bytes": limits.stored_bytes if wanted.stored_bytes > 0 else None,
        "max_jobs_of_day": limits.jobs_per_day if wanted.jobs_of_day > 0 else None,
        "tenant": tenant_id,
        "slot": random.randrange(SLOTS),  # noqa: S311 (spreads, and keeps no secret)  # nosec B311
    }
    (row,) = run_statement(_SQL / "take_room.sql", parameters)
    if row.is_taken:
        return None
    lock_usage(tenant_id)
    # A second statement sees what was committed while the first one waited for the locks.
    used = read_usage(tenant_id)
    if used.find_refusal(wanted, limits) is not None:
        return used
    spread_usage(tenant_id, Usage(used.volume + wanted, used.day))
    return None


def count_usage(moves: Mapping[UUID, Volume]) -> None:
    """Count what jobs of these tenants gave back, or what their runs left.

    The last statement of the caller's transaction that locks anything.
    """
    moves = {tenant_id: moved for tenant_id, moved in moves.items() if moved != Volume()}
    if not moves:
        return
    counted = {row.tenant_id for row in _count(moves)}
    if missing := moves.keys() - counted:
        # Nothing of theirs was counted before.
        for tenant_id in sorted(missing):
            run_statement(_SQL / "open_usage.sql", {"tenant": tenant_id})
        _count({tenant_id: moves[tenant_id] for tenant_id in missing})


def count_ended(ended: Iterable[Any], blobs: Iterable[SealedBlob] = ()) -> None:
    """Count that these jobs are over, and what their runs left. As `count_usage`."""
    moves: dict[UUID, Volume] = {}
    for row in ended:
        moves[row.tenant_id] = moves.get(row.tenant_id, Volume()) + Volume(open_jobs=-1)
    for blob in blobs:
        moves[blob.tenant_id] = moves.get(blob.tenant_id, Volume()) + Volume(stored_bytes=len(blob.sealed))
    count_usage(moves)


def read_usage(tenant_id: UUID) -> Usage:
    """What the counters say."""
    (row,) = run_statement(_SQL / "sum_usage.sql", {"tenant": tenant_id})
    return Usage(Volume(row.open_jobs, row.stored_bytes, row.jobs_of_day), row.day)


def recount_usage(tenant_id: UUID) -> tuple[Usage, Usage]:
    """Set the tenant's counters to what its rows say; what they said, and what they say now. Not in a transaction.

    Its accepts and ends wait meanwhile. The jobs of the day stay as they are: those that were erased cannot be counted.
    """
    with tenant_tx(tenant_id):
        lock_usage(tenant_id)
        before = read_usage(tenant_id)
        (row,) = run_statement(_SQL / "recount_usage.sql", {"tenant": tenant_id, "kinds": list(COUNTED_KINDS)})
        after = Usage(Volume(row.open_jobs, row.stored_bytes, before.volume.jobs_of_day), before.day)
        if after != before:
            spread_usage(tenant_id, after)
        note_act(
            tenant_id,
            "tenant.usage-recounted",
            show_id(TENANT, tenant_id),
            before=before.volume,
            after=after.volume,
        )
    return before, after


def lock_usage(tenant_id: UUID) -> None:
    """Let nobody else count anything of the tenant until the end of the transaction."""
    if len(run_statement(_SQL / "lock_usage.sql", {"tenant": tenant_id})) < SLOTS:
        run_statement(_SQL / "open_usage.sql", {"tenant": tenant_id})
        run_statement(_SQL / "lock_usage.sql", {"tenant": tenant_id})


def spread_usage(tenant_id: UUID, usage: Usage) -> None:
    """Write the tenant's numbers, the same part in each slot. They are locked."""
    volume = usage.volume
    run_statement(
        _SQL / "spread_usage.sql",
        {
            "tenant": tenant_id,
            "day": usage.day,
            "slots": list(range(SLOTS)),
            "open_jobs": _parts(volume.open_jobs),
            "stored_bytes": _parts(volume.stored_bytes),
            "jobs_of_day": _parts(volume.jobs_of_day),
        },
    )


def _parts(total: int) -> list[int]:
    """As `usage_share` of the schema divides a limit, so that a sum within the limit is within it in each slot."""
    each, rest = divmod(total, SLOTS)
    return [each + (slot < rest) for slot in range(SLOTS)]


def _count(moves: Mapping[UUID, Volume]) -> Sequence[Any]:
    tenants = list(moves)
    return run_statement(
        _SQL / "count_usage.sql",
        {
            "tenants": tenants,
            "slots": [random.randrange(SLOTS) for _ in tenants],  # noqa: S311 (spreads, and keeps no secret)  # nosec B311
            "open_jobs": [moves[tenant_id].open_jobs for tenant_id in tenants],
            "stored_bytes": [moves[tenant_id].stored_bytes for tenant_id in tenants],
        },
    )


def _moves(volume: Volume) -> dict[str, int]:
    return {
        "open_jobs": volume.open_jobs,
        "stored_bytes": volume.stored_bytes,
        "jobs_of_day": volume.jobs_of_day,
    }


def _is_beyond(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit
