"""Histograms: any durations, split and added up in any way, give quantiles within the stated error of exact ones."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from jobservice.jobs.histograms import (
    ERROR_FACTOR,
    LAST_BUCKET,
    add_histograms,
    bucket_of,
    find_quantile,
    middle_of,
    read_histogram,
)

DURATIONS = st.lists(st.floats(min_value=1.0, max_value=10**8.9), min_size=1, max_size=200)


def histogram_of(durations: list[float]) -> dict[int, int]:
    found: dict[int, int] = {}
    for duration in durations:
        found[bucket_of(duration)] = found.get(bucket_of(duration), 0) + 1
    return found


def exact_quantile(durations: list[float], share: float) -> float:
    """By nearest rank."""
    return sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]


@given(durations=DURATIONS, cut=st.integers(0, 200), share=st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_of_added_histograms_is_within_the_stated_error(
    durations: list[float], cut: int, share: float
) -> None:
    added = add_histograms([histogram_of(durations[:cut]), histogram_of(durations[cut:])])
    found, exact = find_quantile(added, share), exact_quantile(durations, share)
    assert found is not None
    assert exact / (ERROR_FACTOR * 1.000001) <= found <= exact * ERROR_FACTOR * 1.000001


def test_the_stated_error_is_an_eighth() -> None:
    assert round(ERROR_FACTOR, 3) == 1.122


def test_nothing_has_no_quantile_and_the_ends_have_values() -> None:
    assert find_quantile({}, 0.5) is None
    assert find_quantile({0: 3}, 0.99) == 0.5
    assert find_quantile({LAST_BUCKET: 1}, 0.5) == 1e9
    assert [bucket_of(value) for value in (-1.0, 0.0, 0.999, 1.0, 9.99, 10.0, 10.1, 1e9, 1e30)] == [
        0, 0, 0, 1, 10, 11, 11, LAST_BUCKET, LAST_BUCKET
    ]  # fmt: skip


def test_every_bucket_holds_its_middle() -> None:
    assert [bucket_of(middle_of(bucket)) for bucket in range(LAST_BUCKET)] == list(range(LAST_BUCKET))


@pytest.mark.django_db
def test_the_database_puts_durations_into_the_same_buckets() -> None:
    durations = [0.0, 0.4, 1.5, 2.0, 999.0, 1001.0, 86_400_000.0, 3e9]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(duration_bucket(d) ORDER BY n) FROM unnest(%s) WITH ORDINALITY AS t (d, n)",
            [[timedelta(milliseconds=duration) for duration in durations]],
        )
        assert cursor.fetchone()[0] == [bucket_of(duration) for duration in durations]


def test_a_kept_histogram_is_read_as_it_was() -> None:
    assert read_histogram([(3 << 40) + 5, (91 << 40) + 2**40 - 1]) == {3: 5, 91: 2**40 - 1}
    assert read_histogram([]) == {}
