"""How much waits and how long, for the operator's metrics. Read often, so at a cost that does not grow with it.

Small counts are exact. Of a large table a sample is counted, which is near enough for what is counted in thousands;
claimed jobs, and the first thousands of each waiting state, are then still counted by their indexes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from jobservice.jobs.states import LIVE_STATES
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
SAMPLED_PAGES = 500
EXACT_LIMIT = 2000
LANES_LOOKED_AT = 2000
# States that share an index, and so its limit.
_COUNTED_TOGETHER = (("available",), ("scheduled", "retryable"))

Counts = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Unfinished jobs by (pool, state), the age in seconds of the oldest due one by pool, and the share counted."""

    jobs: Counts
    oldest_due_seconds: Mapping[str, float]
    sampled_ratio: float


def read_backlog() -> Backlog:
    """Count what is unfinished now, of all tenants. Run by the dispatcher."""
    with transaction.atomic():
        sample = run_statement(_SQL / "sample_unfinished.sql", {"pages": SAMPLED_PAGES})
        ratio = float(sample[0].ratio)
        jobs: Counts = {(row.pool, row.state): row.jobs for row in sample if row.pool is not None}
        if ratio < 1:
            known = run_statement(_SQL / "count_unfinished.sql", {"limit": EXACT_LIMIT})
            jobs = combine_counts(jobs, {(row.pool, row.state): row.jobs for row in known}, ratio=ratio)
        oldest = run_statement(_SQL / "oldest_due.sql", {"lanes": LANES_LOOKED_AT})
    return Backlog(jobs, {row.pool: row.seconds for row in oldest}, ratio)


def combine_counts(sample: Counts, known: Counts, *, ratio: float) -> Counts:
    """The best of both: what the indexes counted to the end, else the sample's share of the whole."""
    estimate = {key: round(count / ratio) for key, count in sample.items()}
    best = Counter(known)
    for states in _COUNTED_TOGETHER:
        if sum(count for (_, state), count in known.items() if state in states) >= EXACT_LIMIT:
            for key in estimate.keys() | known.keys():
                if key[1] in states:
                    best[key] = max(estimate.get(key, 0), known.get(key, 0))
    by_sample_only = set(LIVE_STATES) - {"dispatched", "executing", *(s for group in _COUNTED_TOGETHER for s in group)}
    best.update({key: count for key, count in estimate.items() if key[1] in by_sample_only})
    return dict(best)
