"""Lanes: one per (tenant, queue, pool), and shares: one per (tenant, pool). How one wakes and sleeps.

The dispatcher chooses between the shares of a pool, then between the lanes of each.

No wake-up is lost: whoever makes a job available first shares the lane's lock (FOR KEY SHARE) and wakes the lane if it
sleeps; a lane is put to sleep only under FOR UPDATE, which waits for no one, and after one more look. Who wakes a lane
locks its share and wakes that too; a share is put to sleep as a lane is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.db import IntegrityError

from jobservice.crash_points import crash_point
from jobservice.database import violated_constraint
from jobservice.errors import Conflict
from jobservice.ids import new_id
from jobservice.statements import run_statement
from tenants.tenancy import ERASED_RULE

_SQL = Path(__file__).resolve().parent / "sql"
# A sleeping lane costs an accept one more UPDATE, an idle one costs each claim one look: sleep after a while only.
IDLE_SECONDS = 5.0


def make_lanes(tenant_id: UUID, wanted: Collection[tuple[str, str]]) -> None:
    """Make the queues and lanes of these (queue, pool) that do not exist yet.

    Raises `Conflict` when the tenant was erased meanwhile.
    """
    pairs = sorted(set(wanted))
    parameters = {
        "tenant": tenant_id,
        "queue_ids": [new_id() for _ in pairs],
        "queues": [queue for queue, _ in pairs],
        "pools": [pool for _, pool in pairs],
    }
    with erased_is_a_conflict():
        run_statement(_SQL / "make_lanes.sql", parameters)


@contextmanager
def erased_is_a_conflict() -> Iterator[None]:
    """Around a statement that adds the first row of a tenant, where its erasure is met: raises `Conflict` after it."""
    try:
        yield
    except IntegrityError as error:
        if violated_constraint(error) != ERASED_RULE:
            raise
        raise Conflict("The tenant was erased.") from None


def wake_lanes(asleep: Collection[int]) -> None:
    """Wake these lanes, which are locked and were seen asleep under that lock."""
    if asleep:
        run_statement(_SQL / "activate_lanes.sql", {"lanes": sorted(set(asleep))})


def activate_lanes(lanes: Iterable[int]) -> None:
    """Wake these lanes, whose jobs this transaction makes available."""
    wanted = sorted(set(lanes))
    if not wanted:
        return
    locked = run_statement(_SQL / "lock_lanes.sql", {"lanes": wanted})
    wake_lanes([lane.id for lane in locked if not lane.is_active])


def deactivate_idle_lanes() -> int:
    """Put lanes to sleep that have had no available job for a while. Run in a transaction; the number put to sleep."""
    idle = run_statement(_SQL / "lock_idle_lanes.sql", {"idle_seconds": IDLE_SECONDS})
    if not idle:
        return 0
    crash_point("lanes.before_sleep")
    # A second statement sees what was committed before the lock was taken: the second look.
    return len(run_statement(_SQL / "deactivate_lanes.sql", {"lanes": [lane.id for lane in idle]}))


def deactivate_idle_shares() -> None:
    """Put shares to sleep whose lanes all sleep. Run in a transaction of its own: a lane is locked before its share."""
    idle = run_statement(_SQL / "lock_idle_shares.sql", {})
    if idle:
        named = {"tenants": [share.tenant_id for share in idle], "pools": [share.pool for share in idle]}
        run_statement(_SQL / "deactivate_shares.sql", named)
