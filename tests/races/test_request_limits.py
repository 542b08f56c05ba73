"""The limiter over several processes, with real commits: never more than the burst and its refill, never less."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from jobservice.statements import run_statement
from tenants import request_limits
from tenants.request_limits import RequestLeases, RequestLimit
from tests.factories import Tenant, make_tenant

Race = Callable[..., list[Any]]


def passed(leases: RequestLeases, tenant: Tenant, limit: RequestLimit, *, requests: int) -> int:
    return sum(leases.admit(tenant.id, limit).is_admitted for _ in range(requests))


def counting_statements(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []

    def run_and_count(*arguments: Any) -> Any:
        taken.append(time.monotonic())
        return run_statement(*arguments)

    monkeypatch.setattr(request_limits, "run_statement", run_and_count)
    return taken


def refill(limit: RequestLimit, started: float) -> int:
    return math.floor((time.monotonic() - started) * limit.rate) + 1


def test_of_200_parallel_requests_over_two_processes_exactly_100_pass(racing_tenant: Tenant, race: Race) -> None:
    limit, processes = RequestLimit(rate=100, burst=100), (RequestLeases(), RequestLeases())
    started = time.monotonic()
    calls = [
        lambda leases=leases: passed(leases, racing_tenant, limit, requests=10)
        for leases in processes
        for _thread in range(10)
    ]
    total = sum(race("web", *calls))
    assert 100 <= total <= 100 + refill(limit, started)


def test_a_rate_too_slow_to_refill_admits_the_burst_and_not_one_more(racing_tenant: Tenant, race: Race) -> None:
    """A turn each 100 s: what passes is the burst alone, to the request."""
    limit, processes = RequestLimit(rate=1, burst=100), [RequestLeases() for _ in range(4)]
    started = time.monotonic()
    # Four processes of five threads.
    calls = [lambda leases=leases: passed(leases, racing_tenant, limit, requests=10) for leases in processes * 5]
    total = sum(race("web", *calls))
    assert 100 <= total <= 100 + refill(limit, started)


def test_a_sustained_flood_gets_the_rate_and_costs_few_statements(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, processes = RequestLimit(rate=400, burst=400), (RequestLeases(), RequestLeases())
    statements = counting_statements(monkeypatch)
    started = time.monotonic()

    def flood(leases: RequestLeases) -> int:
        """For 1.5 s in which it asks: while the machine stands still, or serves others, nobody does."""
        count, asked_seconds = 0, 0.0
        while asked_seconds < 1.5:
            began = time.monotonic()
            count += leases.admit(racing_tenant.id, limit).is_admitted
            time.sleep(0.0005)
            asked_seconds += min(time.monotonic() - began, 0.005)
        return count

    total = sum(race("web", *[lambda leases=leases: flood(leases) for leases in processes * 3]))
    assert total <= limit.burst + refill(limit, started)
    assert total >= limit.burst + 1.5 * limit.rate * 0.5
    assert len(statements) < total


def test_a_tenant_at_its_limit_takes_nothing_from_another(racing_tenant: Tenant, race: Race) -> None:
    limit, leases, other = RequestLimit(rate=20, burst=20), RequestLeases(), make_tenant()
    flooded, calm = race(
        "web",
        lambda: passed(leases, racing_tenant, limit, requests=500),
        lambda: passed(leases, other, limit, requests=20),
    )
    assert calm == 20
    assert flooded < 500


def test_a_held_block_adds_nothing_to_a_burst(racing_tenant: Tenant, race: Race) -> None:
    """One process holds the rest of a block while the bucket fills up again; what it holds has lapsed by then."""
    limit, first, second = RequestLimit(rate=100, burst=100), RequestLeases(), RequestLeases()

    def burst() -> int:
        assert first.admit(racing_tenant.id, limit).is_admitted
        time.sleep(0.2)
        started = time.monotonic()
        total = sum(passed(leases, racing_tenant, limit, requests=150) for leases in (second, first))
        return total - refill(limit, started)

    (excess,) = race("web", burst)
    assert excess <= 100


def test_a_refused_process_asks_again_only_when_the_next_turn_is_there(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, leases = RequestLimit(rate=2, burst=2), RequestLeases()
    statements = counting_statements(monkeypatch)
    started = time.monotonic()

    def ask() -> list[bool]:
        return [leases.admit(racing_tenant.id, limit).is_admitted for _ in range(300)]

    (answers,) = race("web", ask)
    turns = refill(limit, started)
    assert answers[:2] == [True, True]
    assert sum(answers) <= limit.burst + turns
    # Two for the burst and one that found none left; with each further turn one that takes it and one that finds none.
    assert len(statements) <= 3 + 2 * turns


def test_the_wait_of_a_refusal_is_the_time_to_the_next_turn(racing_tenant: Tenant, race: Race) -> None:
    limit, leases = RequestLimit(rate=2, burst=2), RequestLeases()

    def wait_and_try() -> bool:
        while (refusal := leases.admit(racing_tenant.id, limit)).is_admitted:
            pass
        assert 0 < refusal.wait_seconds <= 0.5
        time.sleep(refusal.wait_seconds + 0.01)
        return leases.admit(racing_tenant.id, limit).is_admitted

    assert race("web", wait_and_try) == [True]


def test_a_clock_that_was_ahead_and_a_rate_that_was_higher_close_no_tenant_out(
    racing_tenant: Tenant, race: Race
) -> None:
    limit = RequestLimit(rate=10, burst=20)
    race("web", lambda: RequestLeases().admit(racing_tenant.id, limit))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE request_bucket SET lent_until = clock_timestamp() + interval '1 day'")

    def recover() -> bool:
        leases = RequestLeases()
        refused = leases.admit(racing_tenant.id, limit)
        assert not refused.is_admitted
        assert refused.wait_seconds < 1
        time.sleep(refused.wait_seconds + 0.05)
        return leases.admit(racing_tenant.id, limit).is_admitted

    assert race("web", recover) == [True]


def test_the_setting_of_the_tenant_does_not_outlive_the_statement(racing_tenant: Tenant, race: Race) -> None:
    def take() -> str:
        RequestLeases().admit(racing_tenant.id, RequestLimit(rate=10, burst=20))
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(current_setting('app.tenant', true), '')")
            return str(cursor.fetchone()[0])

    assert race("web", take) == [""]
