"""What holds jobs back and lets them go on: the slots of a tenant, a queue and a concurrency key, and a queue's rate.

The claim decides, in `claim_steps.py`, before a job is taken: it counts the slots in use from the rows of the jobs that
use them, under the tenant's gate, so that no interleaving of dispatchers exceeds a limit and no slot can leak. What it
finds at a limit leaves its sight: a share or a lane is blocked, a job whose key is busy is parked. (One whose endpoint
wants a pause is parked too, and comes back otherwise: see `throttles.py`.) They come back

1. in the transaction that frees the slot (`free_slots`), or that changes the limit (`apply_queue_change`), or, of a
   tenant's quota, in one right after it (`apply_quotas`);
2. when a token is due (`open_rated_lanes`);
3. by a look each second that counts anew (`reopen`), for a slot that was freed while a claim found the limit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from django.db import transaction

from jobservice.crypto.keyed_hash import keyed_hash
from jobservice.jobs.lanes import activate_lanes
from jobservice.statements import run_statement
from tenants.context import tenant_tx
from tenants.data_keys import tenant_keys
from tenants.quotas import DEFAULTS

_SQL = Path(__file__).resolve().parent / "sql"
# Concurrency keys looked at in one sweep.
KEYS_PER_SWEEP = 1_000


def hash_concurrency_key(tenant_id: UUID, key: str | None) -> bytes | None:
    """What is stored of a concurrency key: equal keys are found, and none is read. 32 bytes; None of none."""
    return None if key is None else keyed_hash(tenant_keys(tenant_id).index, "concurrency-key", key.encode())


class SlotHolder(Protocol):
    """A live job that held a slot: its lane and the hash of its concurrency key."""

    @property
    def lane_id(self) -> int: ...

    @property
    def concurrency_hash(self) -> bytes | None: ...


def free_slots(holders: Sequence[SlotHolder], *, available: Collection[int] = ()) -> None:
    """These jobs hold no slot any more, or wait for none: let go on what they held up, and wake the `available` lanes.

    It locks shares and lanes, in order. Of the caller's transaction it is the last statement that waits for a lock, but
    for the tenants' counters (`usage.py`), and it comes once only.
    """
    if holders or available:
        parameters = {
            "lanes": [job.lane_id for job in holders],
            "keys": [job.concurrency_hash for job in holders],
            "available": sorted(set(available)),
        }
        run_statement(_SQL / "free_slots.sql", parameters)


def hold_claims(tenant_id: UUID) -> None:
    """Wait for the claims of this tenant that are under way, and keep new ones back until the transaction ends."""
    run_statement(_SQL / "hold_claims.sql", {"tenant": tenant_id})


def apply_queue_change(tenant_id: UUID, queue: str) -> None:
    """Let a queue's changed limits and pause hold at once, in the transaction that changes them and after the change.

    Call `hold_claims` before it. Jobs of a paused queue that were handed out and have not begun are taken back.
    """
    of_queue = {"tenant": tenant_id, "queue": queue}
    returned = run_statement(_SQL / "return_paused.sql", of_queue)
    unparked = run_statement(_SQL / "unpark_queue.sql", of_queue)
    free_slots(returned, available=[row.lane_id for row in (*returned, *unparked)])
    run_statement(_SQL / "open_queue.sql", of_queue)


def change_rate(tenant_id: UUID, queue: str, *, old: Mapping[str, int] | None, new: Mapping[str, int] | None) -> None:
    """Let the starts that a queue's bucket lacks come back at its new rate, in the transaction that changes it.

    A rate that begins or ends leaves a full bucket. Call `hold_claims` before it.
    """
    is_kept = old is not None and new is not None
    parameters = {
        "tenant": tenant_id,
        "queue": queue,
        "old_interval_seconds": _interval_seconds(old),
        "interval_seconds": _interval_seconds(new),
        "most_lacking": new["burst"] if new is not None and is_kept else 0,
    }
    run_statement(_SQL / "change_rate.sql", parameters)


def _interval_seconds(rate: Mapping[str, int] | None) -> float:
    """Between two starts; of no rate it means nothing."""
    return 1.0 if rate is None else rate["period_seconds"] / rate["limit"]


def apply_tenant_status(tenant_id: UUID) -> None:
    """Let a tenant's suspension, or its end, hold from now on, in the transaction that writes it and after the write.

    Call `hold_claims` before it.
    """
    returned = run_statement(_SQL / "return_paused.sql", {"tenant": tenant_id, "queue": None})
    free_slots(returned, available=[row.lane_id for row in returned])
    run_statement(_SQL / "open_tenant.sql", {"tenant": tenant_id})


def apply_quotas(tenant_ids: Iterable[UUID]) -> None:
    """Let these tenants' changed quotas hold for every start from its return on. Call it after the change is committed.

    Claims under way may have counted by the old quotas and are waited for, tenant by tenant: a plan's thousands are not
    kept from starting until the last of them is done.
    """
    for tenant_id in tenant_ids:
        with tenant_tx(tenant_id):
            hold_claims(tenant_id)
            run_statement(_SQL / "open_tenant.sql", {"tenant": tenant_id})


def open_rated_lanes() -> int:
    """Open the lanes whose queue's rate allows a job by now. The number of lanes."""
    return len(run_statement(_SQL / "open_rated_lanes.sql", {}))


@dataclass(slots=True)
class Sweep:
    """The look each second, which counts anew. It remembers at which concurrency key it stopped."""

    _lane: int = 0
    _key: bytes = b""

    def reopen(self) -> int:
        """Let go on what is held back though there is room. The number of shares, lanes and keys' lanes let go."""
        running = {"running": DEFAULTS["running"]}
        opened = len(run_statement(_SQL / "reopen_shares.sql", running))
        opened += len(run_statement(_SQL / "reopen_lanes.sql", {}))
        return opened + self._unpark()

    def _unpark(self) -> int:
        with transaction.atomic():
            rows = run_statement(
                _SQL / "unpark_jobs.sql", {"lane": self._lane, "key": self._key, "keys": KEYS_PER_SWEEP}
            )
            lanes = rows[0].lanes or [] if rows else []
            activate_lanes(lanes)
        # After the last key, from the first again.
        is_last = not rows or rows[0].place < KEYS_PER_SWEEP
        self._lane, self._key = (0, b"") if is_last else (rows[0].lane_id, rows[0].concurrency_hash)
        return len(lanes)
