"""Statistics are exact whoever accepts, ends and folds at once, and whoever dies in between."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from jobservice.jobs import statistics
from jobservice.jobs.accept import accept_jobs
from jobservice.jobs.error_fingerprints import fingerprint_message
from jobservice.jobs.error_groups import forget_known_groups
from jobservice.jobs.models import Attempt, ErrorGroup, Job
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.statistics import fold_statistics
from tenants.context import tenant_tx, tenants_tx
from tenants.data_keys import tenant_keys
from tests.factories import Tenant, make_submission
from tests.jobs.dispatching import claim, outcome_of, start
from tests.jobs.folding import counted_everywhere, durations, fold, run
from tests.races.acting import acting

Race = Callable[..., list[Any]]
# Within the jobs that a tenant may have running.
THREADS, GROUPS, JOBS = 6, 4, 8
KINDS = ("completed", "failed", "crashed", "timed-out")


@pytest.fixture(autouse=True)
def _small_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough that every turn leaves something to the next."""
    monkeypatch.setattr(statistics, "FOLD_LIMIT", 3)
    forget_known_groups()


def accept_groups(tenant: Tenant) -> None:
    for number in range(GROUPS):
        queues = [("a", "b", "c")[(number + place) % 3] for place in range(JOBS)]
        accept_jobs(tenant.id, [make_submission(queue=queue, max_attempts=1) for queue in queues], is_atomic=True)


def fold_until(over: threading.Event) -> None:
    while not over.is_set():
        fold_statistics()


def test_counts_are_those_of_the_rows_while_three_dispatchers_fold(racing_tenant: Tenant, race: Race) -> None:
    over = threading.Event()
    left = [THREADS]
    lock = threading.Lock()

    def accept_and_leave() -> None:
        try:
            accept_groups(racing_tenant)
        finally:
            with lock:
                left[0] -= 1
                if not left[0]:
                    over.set()

    folders = [acting("dispatcher", fold_until, over) for _ in range(3)]
    race("web", *[accept_and_leave] * THREADS, *folders)
    fold()
    assert counted_everywhere(racing_tenant.id) == {"accepted": THREADS * GROUPS * JOBS}
    over.clear()
    started = start(claim(limit=1000))
    assert len(started) == THREADS * GROUPS * JOBS
    random.shuffle(started)
    parts = [started[place::THREADS] for place in range(THREADS)]
    left[0] = THREADS

    def finish(part: list[Any]) -> None:
        try:
            for at in range(0, len(part), 4):
                outcomes = []
                for one in part[at : at + 4]:
                    kind: Any = random.choice(KINDS)
                    text = None if kind in ("completed", "crashed") else f"error {random.randrange(9)} of {one.queue}"
                    outcomes.append(outcome_of(one, kind, error_message=text))
                assert record_outcomes(outcomes).recorded == len(outcomes)
        finally:
            with lock:
                left[0] -= 1
                if not left[0]:
                    over.set()

    race("worker", *[acting("worker", finish, part) for part in parts], *folders)
    fold()
    ended = {state: Job.objects.filter(final_state=state).count() for state in ("completed", "discarded")}
    crashed = Attempt.objects.filter(outcome="crashed").count()
    wanted = {"accepted": len(started), **ended, "retried": crashed}
    assert counted_everywhere(racing_tenant.id) == {name: count for name, count in wanted.items() if count}
    assert durations(racing_tenant.id, "runs") == durations(racing_tenant.id, "runs", step=86_400) == len(started)
    assert durations(racing_tenant.id, "waits") == sum(ended.values())
    failed = Attempt.objects.exclude(outcome="completed").count()
    assert sum(ErrorGroup.objects.values_list("runs", flat=True)) == failed
    # A group for each code and queue with a text, and one of the crashes.
    assert ErrorGroup.objects.count() == len(
        {(a.outcome, q) for a, q in _attempts_with_queue() if a.outcome not in ("completed", "crashed")}
    ) + bool(crashed)
    assert run("SELECT (SELECT count(*) FROM statistic_delta), (SELECT count(*) FROM error_delta)") == [(0, 0)]


def _attempts_with_queue() -> list[tuple[Attempt, str]]:
    queues = dict(Job.objects.values_list("id", "queue"))
    return [(attempt, queues[attempt.job_id]) for attempt in Attempt.objects.all()]


def test_a_fold_that_dies_has_folded_nothing(racing_tenant: Tenant) -> None:
    accept_groups(racing_tenant)
    before = run("SELECT sum(accepted) FROM statistic_delta")
    with transaction.atomic():
        fold_statistics()
        assert run("SELECT sum(accepted) FROM statistic_delta") != before
        transaction.set_rollback(True)
    assert run("SELECT sum(accepted) FROM statistic_delta") == before
    assert run("SELECT count(*) FROM statistic") == [(0,)]
    fold()
    assert counted_everywhere(racing_tenant.id) == {"accepted": GROUPS * JOBS}


def test_what_commits_after_later_ones_were_folded_is_folded_too(racing_tenant: Tenant, race: Race) -> None:
    stored, folded = threading.Event(), threading.Event()

    def count_slowly() -> None:
        # Alone, for an accept might wait for the other's counter of usage.
        with tenant_tx(racing_tenant.id):
            run(
                "INSERT INTO statistic_delta (tenant_id, minute, queue, type, accepted) "
                "VALUES (%s, date_trunc('minute', now()), 'slow', 'echo', 1)",
                [racing_tenant.id],
            )
            stored.set()
            assert folded.wait(30)

    def accept_after_it() -> None:
        assert stored.wait(30)
        accept_jobs(racing_tenant.id, [make_submission(queue="fast")], is_atomic=True)
        fold_all()
        folded.set()

    def fold_all() -> None:
        acting("dispatcher", lambda: [fold_statistics() for _ in range(3)])()

    race("web", count_slowly, accept_after_it)
    assert run("SELECT sum(accepted)::integer FROM statistic WHERE step_seconds = 60 AND queue = '' AND type = ''") == [
        (1,)
    ]
    fold()
    assert counted_everywhere(racing_tenant.id) == {"accepted": 2}


def test_a_dispatcher_that_finds_another_one_folding_goes_on(racing_tenant: Tenant, race: Race) -> None:
    accept_groups(racing_tenant)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('fold_statistics'))")
            holding.set()
            assert done.wait(30)

    def look() -> bool:
        assert holding.wait(30)
        has_more = fold_statistics()
        done.set()
        return has_more

    assert race("dispatcher", hold, look)[1] is False
    assert run("SELECT count(*) FROM statistic") == [(0,)]
    fold()
    assert counted_everywhere(racing_tenant.id) == {"accepted": GROUPS * JOBS}


def test_workers_that_see_a_new_error_at_once_make_one_group(racing_tenant: Tenant, race: Race) -> None:
    jobs = [make_submission(max_attempts=1) for _ in range(THREADS * 2)]
    accept_jobs(racing_tenant.id, jobs, is_atomic=True)
    started = start(claim(limit=100))

    def fail(first: Any, second: Any) -> None:
        texts = ["it broke", "it vanished"]
        if random.random() < 0.5:
            texts.reverse()
        outcomes = [outcome_of(o, "failed", error_message=t) for o, t in zip((first, second), texts, strict=True)]
        assert record_outcomes(outcomes).recorded == 2

    pairs = list(zip(started[::2], started[1::2], strict=True))
    race("worker", *[acting("worker", fail, *pair) for pair in pairs])
    fold()
    assert sorted(ErrorGroup.objects.values_list("runs", flat=True)) == [THREADS, THREADS]


def test_new_groups_are_inserted_in_one_order(racing_tenant: Tenant, race: Race) -> None:
    """Whoever has the first waits for nobody who has a later one."""
    accept_jobs(racing_tenant.id, [make_submission(max_attempts=1) for _ in range(2)], is_atomic=True)
    texts = {group_id_of(racing_tenant, text): text for text in ("it broke", "it vanished")}
    low, high = sorted(texts)
    outcomes = [
        outcome_of(one, "failed", error_message=texts[group_id])
        for one, group_id in zip(start(claim()), (high, low), strict=True)
    ]
    has_low = threading.Event()

    def insert_both_slowly() -> None:
        with tenants_tx([racing_tenant.id]):
            insert_group(racing_tenant, low)
            has_low.set()
            wait_until_blocked()
            insert_group(racing_tenant, high)

    def fail() -> None:
        assert has_low.wait(30)
        assert record_outcomes(outcomes).recorded == 2

    race("worker", insert_both_slowly, fail)
    fold()
    assert sorted(ErrorGroup.objects.values_list("id", "runs")) == [(low, 1), (high, 1)]


def group_id_of(tenant: Tenant, text: str) -> UUID:
    return fingerprint_message(tenant_keys(tenant.id).index, type_="echo", code="failed", message=text)


def insert_group(tenant: Tenant, group_id: UUID) -> None:
    run(
        "INSERT INTO error_group (tenant_id, id, type, code, first_seen_at, last_seen_at) "
        "VALUES (%s, %s, 'echo', 'failed', now(), now())",
        [tenant.id, group_id],
    )


def wait_until_blocked() -> None:
    """Until another connection waits for this one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if run("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
