"""Whose turn it is in a claim, and how the turns move on: the arithmetic, without the database.

Turns are hierarchical start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996). The n-th job taken from a tenant has
the start tag vtime + (n - 1) / weight, and the smallest tags win; among a tenant's lanes likewise. Afterwards the vtime
of each is the tag that its next job would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from math import ceil, floor, inf
from typing import Protocol
from uuid import UUID


class Waiting(Protocol):
    """Who waits for turns, and has room for so many jobs (`inf`: for any number)."""

    @property
    def vtime(self) -> float: ...

    @property
    def weight(self) -> int: ...

    @property
    def room(self) -> float: ...


def start_tag(one: Waiting, jobs: int) -> float:
    """Of its job that follows so many."""
    return one.vtime + jobs / one.weight


def give_turns(waiting: Sequence[Waiting], limit: int) -> list[int]:
    """How many of the next `limit` jobs are each one's, if all have as many as they have room for."""
    rooms = [one.room for one in waiting]
    given = [max(0, int(min(sure, room))) for sure, room in zip(_sure_turns(waiting, limit), rooms, strict=True)]
    tags = [
        (start_tag(one, jobs), at)
        for at, (one, jobs, room) in enumerate(zip(waiting, given, rooms, strict=True))
        if jobs < room
    ]
    heapify(tags)
    for _ in range(limit - sum(given)):
        if not tags:
            break
        tag, at = tags[0]
        given[at] += 1
        if given[at] < rooms[at]:
            heapreplace(tags, (tag + 1 / waiting[at].weight, at))
        else:
            heappop(tags)
    return given


def _sure_turns(waiting: Sequence[Waiting], limit: int) -> list[int]:
    """Of these so many are each one's whoever has room: nearly all, so that few need be given one by one.

    Were turns divisible, all would get those before one tag, which follows from the sums. Each one's last turn may
    reach beyond it by a part: so that is taken off, for as many as there are and one for the rounding.
    """
    weights = jobs = 0.0
    level = -inf
    ordered = sorted(waiting, key=lambda one: one.vtime)
    for at, one in enumerate(ordered, start=1):
        weights += one.weight
        jobs += one.weight * one.vtime
        level = (limit - at - 1 + jobs) / weights
        if at < len(ordered) and level <= ordered[at].vtime:
            break
    return [ceil((level - one.vtime) * one.weight) for one in waiting]


@dataclass(frozen=True, slots=True)
class Rate:
    """The token bucket of a lane's queue."""

    # Between two starts.
    interval_seconds: float
    burst: int
    # Until it is full, if nothing more is taken.
    lacking_seconds: float

    @property
    def tokens(self) -> int:
        return floor(self.burst - self.lacking_seconds / self.interval_seconds)

    def lacking_after(self, jobs: int) -> float:
        return self.lacking_seconds + jobs * self.interval_seconds

    def seconds_to_token(self, jobs: int) -> float:
        """After so many jobs were taken."""
        return self.lacking_after(jobs) - (self.burst - 1) * self.interval_seconds


@dataclass(slots=True)
class LaneTurn:
    """A lane that had work a moment ago: what it may take, what it is given, and what was then seen and taken."""

    id: int
    queue: str
    weight: int
    vtime: float
    is_drained: bool
    is_paused: bool
    # What it has is locked by somebody else.
    is_locked: bool
    key_concurrency: int
    # Left of its queue's concurrency; None is no limit.
    slots: int | None
    rate: Rate | None
    most: int = 0
    looks: int = 0
    seen: int = 0
    taken: int = 0
    parked: int = 0

    @property
    def room(self) -> float:
        if self.is_paused or self.is_locked:
            return 0
        # More may be under way than a limit that was lowered since.
        return max(0, min(inf if self.slots is None else self.slots, inf if self.rate is None else self.rate.tokens))

    @property
    def is_seen_through(self) -> bool:
        """There was no more than was looked at."""
        return self.seen < self.looks

    @property
    def is_emptied(self) -> bool:
        return self.is_seen_through and self.seen == self.taken + self.parked

    @property
    def blocked_by(self) -> str | None:
        if self.is_paused:
            return "queue-paused"
        if self.slots is not None and self.slots <= self.taken:
            return "queue-concurrency"
        return "queue-rate" if self.rate is not None and self.rate.tokens <= self.taken else None

    @property
    def blocked_seconds(self) -> float | None:
        """Until there is a start again, where it waits for its rate."""
        return self.rate.seconds_to_token(self.taken) if self.rate and self.blocked_by == "queue-rate" else None


@dataclass(slots=True)
class ShareTurn:
    """A tenant whose turn it is, with its lanes that had work a moment ago."""

    tenant_id: UUID
    weight: int
    vtime: float
    lane_vtime: float
    is_drained: bool
    is_suspended: bool
    # Left of the tenant's quota of jobs under way; None is no limit.
    slots: int | None
    lanes: list[LaneTurn] = field(default_factory=list)

    @property
    def room(self) -> float:
        """At its limit it has none, and its lanes are not looked at."""
        if self.is_suspended:
            return 0
        return max(0, min(inf if self.slots is None else self.slots, sum(lane.room for lane in self.lanes)))

    @property
    def taken(self) -> int:
        return sum(lane.taken for lane in self.lanes)

    @property
    def blocked_by(self) -> str | None:
        if self.is_suspended:
            return "tenant-suspended"
        return "tenant-concurrency" if self.slots is not None and self.slots <= self.taken else None

    @property
    def moved_lanes(self) -> list[LaneTurn]:
        """Those whose row must say what became of them. The turn of the only one with work is nobody's concern."""
        is_one_of_many = len(self.lanes) > 1
        return [
            lane
            for lane in self.lanes
            if (is_one_of_many and lane.taken) or lane.is_drained or lane.is_emptied or lane.blocked_by
        ]


def next_lane_vtime(share: ShareTurn, moved: Sequence[LaneTurn]) -> float:
    """The start tag of the last job taken from these lanes of it; it never goes back."""
    return max([share.lane_vtime, *(start_tag(lane, lane.taken - 1) for lane in moved if lane.taken)])


def clock_after(shares: Sequence[ShareTurn], *, is_full: bool) -> float | None:
    """The pool's virtual time: the start tag of the last job served; None when none was.

    But where tenants wait that were not looked at (`is_full`), theirs are smaller than that: then it is one turn before
    the first job served, so that who begins to wait now is next, and not behind all of them.
    """
    served = [share for share in shares if share.taken]
    if not served:
        return None
    return (
        min(share.vtime for share in served) - 1
        if is_full
        else max(start_tag(share, share.taken - 1) for share in served)
    )
