"""One look of a claim: lock and read, take, move on; four statements of one transaction. `turns.py` decides in between.

The slots are counted by a statement after the one that locks the gates, so that what their last holders took is among
them. And small statements, each of a few plain parts, cost the server less than one that does it all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobservice.jobs.claim_sizes import (
    LANES_PER_SHARE,
    MOST_SHARES,
    WIDER_STEP,
    deeper_look,
    shares_of_many,
    shares_per_look,
)
from jobservice.jobs.turns import LaneTurn, Rate, ShareTurn, clock_after, give_turns, next_lane_vtime, start_tag
from tenants.quotas import DEFAULTS

# A `.sql` file of the app, by its name, and what it is given.
Step = tuple[str, Mapping[str, Any]]
# Runs steps one after another, sent together; the rows of each.
Run = Callable[[Sequence[Step]], list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a look goes, by what those before it in the claim met."""

    # So many times as many tenants as usual.
    wider: int = 1
    # Of these lanes at least so many jobs.
    deeper: Mapping[int, int] = field(default_factory=dict)
    # To these lanes no turn is given: what they have is locked by somebody else, and would be waited for.
    locked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look took: rows of tenant_id, job_id, epoch, type, crash_count."""

    jobs: list[Any]
    # Whether another one is worth it, and how far that goes.
    has_more: bool
    next: Reach


def look_once(run: Run, pool: str, *, limit: int, lease_seconds: float, reach: Reach) -> Look | None:
    """Take up to `limit` jobs, each for its turn and within every limit; None when it is nobody's turn.

    Run in a transaction.
    """
    locked, read = run(
        [
            ("lock_shares.sql", _lock_parameters(pool, limit, reach.wider)),
            ("read_turns.sql", {"pool": pool, "running": DEFAULTS["running"]}),
        ]
    )
    if not locked:
        return None
    shares = _read_shares(read, reach.locked)
    lanes = _give(shares, limit, reach.deeper)
    jobs = _take(run, lanes, {"tenants": locked[0].tenants, "lease_seconds": lease_seconds}) if lanes else []
    moment = {"pool": pool, "read_at": read[0].read_at, "clock": clock_after(shares, is_full=locked[0].is_full)}
    (blocked,) = run([("move_turns.sql", {**moment, **_moves(shares)})])
    return _told(shares, jobs, reach, is_full=locked[0].is_full, is_blocked=bool(blocked))


def _lock_parameters(pool: str, limit: int, wider: int = 1) -> dict[str, Any]:
    shares, of_many = shares_per_look(limit, wider), shares_of_many(limit, wider)
    return {"pool": pool, "shares": shares, "shares_of_many": of_many, "lanes": LANES_PER_SHARE}


def _read_shares(rows: Sequence[Any], locked: Collection[int]) -> list[ShareTurn]:
    shares: dict[Any, ShareTurn] = {}
    for row in rows:
        share = shares.get(row.tenant_id)
        if share is None:
            share = shares[row.tenant_id] = ShareTurn(
                tenant_id=row.tenant_id,
                weight=row.share_weight,
                vtime=row.share_vtime,
                lane_vtime=row.lane_vtime,
                is_drained=row.is_share_drained,
                is_suspended=row.is_suspended,
                slots=row.share_slots,
            )
        # Of one that may take nothing the lanes are left as they are.
        if row.lane_id is not None and share.blocked_by is None:
            share.lanes.append(_read_lane(row, share, is_locked=row.lane_id in locked))
    return list(shares.values())


def _read_lane(row: Any, share: ShareTurn, *, is_locked: bool) -> LaneTurn:
    return LaneTurn(
        id=row.lane_id,
        queue=row.queue,
        weight=row.weight,
        # Here too: who had no work meanwhile has saved up no turns.
        vtime=max(row.vtime, share.lane_vtime) if row.is_drained else row.vtime,
        is_drained=row.is_drained,
        is_paused=row.is_paused,
        is_locked=is_locked,
        key_concurrency=row.key_concurrency,
        slots=row.slots,
        rate=None if row.interval_seconds is None else Rate(row.interval_seconds, row.burst, row.lacking_seconds),
    )


def _give(shares: Sequence[ShareTurn], limit: int, deeper: Mapping[int, int]) -> list[LaneTurn]:
    """Each lane its number of jobs; those that get any."""
    for share, jobs in zip(shares, give_turns(shares, limit), strict=True):
        given = [jobs] if len(share.lanes) == 1 else give_turns(share.lanes, jobs)
        for lane, most in zip(share.lanes, given, strict=True):
            lane.most = most
            # One more tells whether it has more.
            lane.looks = max(most + 1, deeper.get(lane.id, 0)) if most else 0
    # In order, so that what is looked at need not be sorted for it.
    return sorted((lane for share in shares for lane in share.lanes if lane.most), key=lambda lane: lane.id)


def _take(run: Run, lanes: Sequence[LaneTurn], parameters: Mapping[str, Any]) -> list[Any]:
    """Take what each lane was given, and note what was seen of it. The rows of the jobs taken."""
    wanted = _columns(
        ("lanes", "looks", "most", "key_concurrency"),
        [(lane.id, lane.looks, lane.most, lane.key_concurrency) for lane in lanes],
    )
    (rows,) = run([("claim_jobs.sql", {**parameters, **wanted})])
    jobs = [row for row in rows if row.job_id is not None]
    taken = Counter([row.lane_id for row in jobs])
    told = {row.lane_id: row for row in rows if row.job_id is None}
    for lane in lanes:
        if lane.id in told:
            lane.seen, lane.parked, lane.taken = told[lane.id].seen, told[lane.id].parked, taken[lane.id]
    return jobs


def _moves(shares: Sequence[ShareTurn]) -> dict[str, str]:
    """What `move_turns.sql` is told of lanes, buckets and shares."""
    of_lanes: list[tuple[Any, ...]] = []
    of_rates: list[tuple[Any, ...]] = []
    of_shares: list[tuple[Any, ...]] = []
    for share in shares:
        moved = share.moved_lanes
        of_lanes += [
            (
                lane.id,
                start_tag(lane, lane.taken),
                lane.is_emptied,
                lane.taken > 0,
                lane.blocked_by,
                lane.blocked_seconds,
            )
            for lane in moved
        ]
        of_rates += [
            (share.tenant_id, lane.queue, lane.rate.lacking_after(lane.taken))
            for lane in share.lanes
            if lane.taken and lane.rate
        ]
        if share.taken or share.is_drained or share.blocked_by:
            vtimes = start_tag(share, share.taken), next_lane_vtime(share, moved)
            of_shares.append((share.tenant_id, *vtimes, _is_emptied(share), share.blocked_by))
    return {
        **_columns(("lanes", "vtimes", "are_drained", "are_served", "blocks", "blocked_seconds"), of_lanes),
        **_columns(("rate_tenants", "rate_queues", "lacking_seconds"), of_rates),
        **_columns(("share_tenants", "share_vtimes", "lane_vtimes", "are_shares_drained", "share_blocks"), of_shares),
    }


def _is_emptied(share: ShareTurn) -> bool:
    """It has no work left, as far as a claim looks."""
    return 0 < len(share.lanes) < LANES_PER_SHARE and all(lane.is_emptied for lane in share.lanes)


def _told(shares: Sequence[ShareTurn], jobs: list[Any], reach: Reach, *, is_full: bool, is_blocked: bool) -> Look:
    lanes = [lane for share in shares for lane in share.lanes]
    is_seen_through = all(lane.is_seen_through for lane in lanes)
    parked = {lane.id: deeper_look(reach.deeper.get(lane.id, 0)) for lane in lanes if lane.parked}
    locked = {lane.id for lane in lanes if lane.most and not lane.seen}
    # What is out of the way from now on may have hidden others.
    is_less = bool(parked or locked) or is_blocked or any(share.blocked_by for share in shares)
    # More is left of what was looked at, or others wait behind them.
    is_left = bool(jobs) and (is_full or not is_seen_through)
    wider = reach.wider * WIDER_STEP if is_seen_through and reach.wider < MOST_SHARES else reach.wider
    return Look(jobs, has_more=is_less or is_left, next=Reach(wider, parked, reach.locked | locked))


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Rows as one array for each column, as the server reads one; of words in them none holds a quote or a backslash.

    A list psycopg would look through for its type, which it takes to be another one for larger numbers.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {
        name: "{" + ",".join([_written(value) for value in column]) + "}"
        for name, column in zip(names, columns, strict=True)
    }


def _written(value: Any) -> str:
    """In quotes, because a queue may be called "null"."""
    return "NULL" if value is None else f'"{value}"'
