"""Lanes: one per (tenant, queue, pool). What the dispatcher chooses between, and how one wakes and sleeps.

No wake-up is lost: whoever makes a job available first shares the lane's lock (FOR KEY SHARE) and wakes the lane if it
sleeps; a lane is put to sleep only under FOR UPDATE, which waits for no one, and after one more look.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from jobservice.ids import new_id
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
# A sleeping lane costs an accept one more UPDATE, an idle one costs each claim one look: sleep after a while only.
IDLE_SECONDS = 5.0


def open_lane(tenant_id: UUID, *, queue: str, pool: str) -> int:
    """The awake lane of this queue and pool, shared-locked until the transaction ends; made on first use."""
    key = {"tenant": tenant_id, "queue": queue, "pool": pool}
    rows = run_statement(_SQL / "find_lane.sql", key)
    if not rows:
        run_statement(_SQL / "make_lane.sql", {**key, "queue_id": new_id()})
        rows = run_statement(_SQL / "find_lane.sql", key)
    lane = rows[0]
    if not lane.is_active:
        run_statement(_SQL / "activate_lanes.sql", {"lanes": [lane.id]})
    return int(lane.id)


def activate_lanes(lanes: Iterable[int]) -> None:
    """Wake these lanes, whose jobs this transaction makes available."""
    wanted = sorted(set(lanes))
    if not wanted:
        return
    locked = run_statement(_SQL / "lock_lanes.sql", {"lanes": wanted})
    sleeping = [lane.id for lane in locked if not lane.is_active]
    if sleeping:
        run_statement(_SQL / "activate_lanes.sql", {"lanes": sleeping})


def deactivate_idle_lanes() -> int:
    """Put lanes to sleep that have had no available job for a while. Run in a transaction; the number put to sleep."""
    idle = run_statement(_SQL / "lock_idle_lanes.sql", {"idle_seconds": IDLE_SECONDS})
    if not idle:
        return 0
    # A second statement sees what was committed before the lock was taken: the second look.
    return len(run_statement(_SQL / "deactivate_lanes.sql", {"lanes": [lane.id for lane in idle]}))
