"""How many requests a tenant may make in a second, over all processes, without a statement for each of them.

A token bucket in the form of GCRA (ITU-T I.371): each request takes one turn of 1/rate seconds on the tenant's time
line, and the line may run ahead of the clock by as much as the burst lasts.
1. A process takes a block of turns in one statement: a twentieth of the rate, fewer when few are left.
2. It spends them by its own counter. A turn whose time is past lapses: had the bucket been full, that refill would
   have overflowed. So no block can add to a burst, however many processes hold one, and nothing must be given back.
3. Refused, it asks again when the next turn is there, and not before.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from jobservice.statements import run_statement
from tenants.quotas import limit_of

BURST_SECONDS = 2
_TAKE = Path(__file__).resolve().parent / "sql" / "take_requests.sql"
# However high the rate, a process that was refused does not ask more often.
_PAUSE_SECONDS = 0.005
_NEVER_SECONDS = 60.0
_MAX_TENANTS = 10_000


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """`rate` requests a second; `burst` at once after a pause."""

    rate: int
    burst: int

    @property
    def largest_block(self) -> int:
        return max(1, self.rate // 20)

    @property
    def smallest_block(self) -> int:
        """One, but of a high rate what passes in 5 ms, so that no rate costs more than 200 statements a second."""
        return max(1, self.rate // 200)


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request may go on; how many more may, as far as this process knows; if it may not, until when."""

    is_admitted: bool
    remaining: int
    wait_seconds: float = 0.0


def request_limit(quotas: Mapping[str, int | None]) -> RequestLimit | None:
    """The limit in a tenant's quotas; None when it has none."""
    rate = limit_of(quotas, "requests_per_second")
    return None if rate is None else RequestLimit(rate, rate * BURST_SECONDS)


class RequestLeases:
    """The turns that one process holds, by tenant."""

    def __init__(self) -> None:
        self._held: dict[UUID, _Held] = {}

    def admit(self, tenant_id: UUID, limit: RequestLimit) -> Admission:
        """Take a turn for one request. Call outside of any transaction: a block is lent when its statement commits."""
        if limit.rate < 1 or limit.burst < 1:
            return Admission(False, 0, _NEVER_SECONDS)
        if len(self._held) > _MAX_TENANTS:
            self._held.clear()
        held = self._held.setdefault(tenant_id, _Held())
        # One tenant's threads wait here for the block that one of them fetches; no other tenant's do.
        with held.lock:
            return held.admit(tenant_id, limit, now=time.monotonic())


class _Held:
    """One tenant's turns in this process: `count` of them, the first at `first_at` of the process's clock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limit: RequestLimit | None = None
        self.count = 0
        self.first_at = 0.0
        self.closed_until = 0.0
        # What is left of the tenant's burst, as far as this process can tell, and when it was so.
        self.level = 0.0
        self.level_at = 0.0

    def admit(self, tenant_id: UUID, limit: RequestLimit, *, now: float) -> Admission:
        if limit != self.limit:
            self.limit, self.count, self.closed_until = limit, 0, 0.0
        self._lapse(now, turn_seconds=1 / limit.rate)
        if self.count:
            self._spend(limit)
            return self._admitted(limit, now=now)
        if now < self.closed_until:
            return Admission(False, 0, self.closed_until - now)
        return self._take_block(tenant_id, limit, now=now)

    def _lapse(self, now: float, *, turn_seconds: float) -> None:
        late = min(self.count, max(0, math.ceil((now - self.first_at) / turn_seconds)))
        self.count -= late
        self.first_at += late * turn_seconds

    def _spend(self, limit: RequestLimit) -> None:
        self.count -= 1
        self.first_at += 1 / limit.rate

    def _take_block(self, tenant_id: UUID, limit: RequestLimit, *, now: float) -> Admission:
        """Now is before the statement, so that this clock can only lag: turns lapse rather too early than too late."""
        (block,) = run_statement(
            _TAKE,
            {
                "tenant": tenant_id,
                "rate": limit.rate,
                "burst": limit.burst,
                "largest": limit.largest_block,
                "smallest": limit.smallest_block,
            },
        )
        if not block.lent:
            wait = max(_PAUSE_SECONDS, block.begins_in_seconds - (limit.burst - 1) / limit.rate)
            self.closed_until = now + wait
            return Admission(False, 0, wait)
        self.count, self.first_at = block.lent, now + block.begins_in_seconds
        self.level, self.level_at = block.left_over + block.lent, now
        # Of the new block the first turn is this request's, at the moment of the statement.
        self._spend(limit)
        return self._admitted(limit, now=now)

    def _admitted(self, limit: RequestLimit, *, now: float) -> Admission:
        self.level = min(limit.burst, self.level + (now - self.level_at) * limit.rate) - 1
        self.level_at = now
        return Admission(True, max(0, math.floor(self.level)))


_leases = RequestLeases()


def admit_request(tenant_id: UUID, limit: RequestLimit) -> Admission:
    """Take a turn for one request of the tenant in this process."""
    return _leases.admit(tenant_id, limit)


def forget_leases() -> None:
    """Drop every block. A forked child must not spend what its parent holds."""
    global _leases
    _leases = RequestLeases()


os.register_at_fork(after_in_child=forget_leases)
