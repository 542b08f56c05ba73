"""Histograms of durations in fixed logarithmic buckets: added up, read from how they are stored, asked for quantiles.

Ten buckets to a power of ten. Bucket 0 is under a millisecond, bucket n from 10^((n-1)/10) up to 10^(n/10)
milliseconds, and the last is beyond 10^9 (eleven days). A quantile is the geometric middle of the bucket that holds it:
at most 12.2 % off the exact one between one millisecond and eleven days, whatever the durations are and however many
histograms were added up. Pure; the database puts durations into the same buckets by `duration_bucket`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

BUCKETS_PER_DECADE = 10
LAST_BUCKET = 91
# By how much a quantile may differ from the exact one, either way, as a factor.
ERROR_FACTOR = 10 ** (0.5 / BUCKETS_PER_DECADE)
# How a bucket and its count are packed into one number in `statistic`.
_COUNT_BITS = 40

Histogram = Mapping[int, int]


def bucket_of(milliseconds: float) -> int:
    """The bucket of a duration, as `duration_bucket` of the schema."""
    if milliseconds < 1:
        return 0
    return min(LAST_BUCKET, 1 + math.floor(BUCKETS_PER_DECADE * math.log10(milliseconds)))


def read_histogram(entries: Iterable[int]) -> Histogram:
    """The counts by bucket of what the database keeps."""
    return {entry >> _COUNT_BITS: entry & ((1 << _COUNT_BITS) - 1) for entry in entries}


def add_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """All of them as one."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def find_quantile(histogram: Histogram, quantile: float) -> float | None:
    """The milliseconds that a share of the durations does not exceed, by nearest rank; None when there are none."""
    count = sum(histogram.values())
    if not count:
        return None
    rank = max(1, math.ceil(quantile * count))
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return middle_of(bucket)
    raise AssertionError("a rank is within the count")


def middle_of(bucket: int) -> float:
    """The duration in milliseconds that stands for those of a bucket."""
    if bucket == 0:
        return 0.5
    if bucket == LAST_BUCKET:
        return float(10 ** ((LAST_BUCKET - 1) / BUCKETS_PER_DECADE))
    return float(10 ** ((bucket - 0.5) / BUCKETS_PER_DECADE))
