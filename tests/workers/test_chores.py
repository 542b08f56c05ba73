"""What the dispatcher does every so often, and that none of it holds up the rest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection

from jobservice.jobs.models import Attempt
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, start
from tests.roles import as_role
from workers.chores import Chore, all_chores, do_due_chores

pytestmark = pytest.mark.django_db


def test_a_chore_that_fails_waits_for_its_next_time_and_holds_up_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise OperationalError

    chores = [Chore("first", 60.0, fail), Chore("second", 60.0, lambda: done.append("second"))]
    do_due_chores(chores)
    do_due_chores(chores)
    assert done == ["failed", "second"]


def test_a_chore_that_takes_long_to_fail_leaves_most_of_the_time_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("workers.chores.time", clock)
    begun: list[float] = []

    def fail() -> None:
        begun.append(clock.now)
        clock.now += 5.0  # as long as a statement may take
        raise OperationalError

    chores = [Chore("slow", 1.0, fail)]
    while clock.now < 60.0:
        do_due_chores(chores)
        clock.now += 0.5  # a round of dispatching
    assert 2 <= len(begun) <= 4


def test_a_chore_that_has_more_to_do_is_due_at_once_and_one_that_has_not_is_not() -> None:
    more = [True, True, False]
    done: list[bool] = []

    def act() -> bool:
        done.append(more.pop(0))
        return done[-1]

    chores = [Chore("prune", 60.0, act)]
    for _ in range(5):
        do_due_chores(chores)
    assert done == [True, True, False]


def test_a_fault_that_is_no_databases_is_not_hidden() -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        do_due_chores([Chore("broken", 60.0, fail)])


def test_a_dispatcher_that_was_away_for_weeks_makes_partitions_before_it_writes(tenant: Tenant) -> None:
    job = make_job(tenant)
    start(claim())
    end_lease(job)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'attempt_' || to_char(date_trunc('week', now() AT TIME ZONE 'UTC'), 'YYYYMMDD')")
        (this_week,) = cursor.fetchone()
        cursor.execute(f"DROP TABLE IF EXISTS {this_week}")
    with as_role("dispatcher"):
        do_due_chores([chore for chore in all_chores() if chore.name in ("make_partitions", "reap")])
    assert Attempt.objects.get().outcome == "crashed"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT (SELECT count(*) FROM {this_week}), (SELECT count(*) FROM attempt_default)")
        assert cursor.fetchone() == (1, 0)


def test_one_id_of_a_clock_that_is_weeks_ahead_keeps_no_other_week_without_its_partition(tenant: Tenant) -> None:
    make_job(tenant)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname || "
            "to_char(date_trunc('week', now() AT TIME ZONE 'UTC') + n * interval '7 days', '_YYYYMMDD') "
            "FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid, generate_series(2, 3) AS n "
            "WHERE c.relnamespace = 'public'::regnamespace ORDER BY n"
        )
        wanted = [name for (name,) in cursor.fetchall()]
        for name in wanted:
            cursor.execute(f"DROP TABLE {name}")
        # As a process writes it whose clock is two weeks ahead.
        cursor.execute(
            "INSERT INTO job SELECT (jsonb_populate_record(one, moved.columns)).* FROM job AS one, "
            "LATERAL (SELECT jsonb_build_object('id', uuid7_at(now() + interval '14 days')) AS columns) AS moved"
        )
    with as_role("dispatcher"):
        do_due_chores([chore for chore in all_chores() if chore.name == "make_partitions"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY (%s)", [wanted])
        made = {name for (name,) in cursor.fetchall()}
    assert len(made) > 3
    assert set(wanted) - made == {next(name for name in wanted if name.startswith("job_2"))}
