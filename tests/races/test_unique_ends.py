"""A submission with a unique key at the same moment as whatever else happens to its holder: never two live holders,
never a key that nobody frees, and no end that waits for a submission."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from jobservice.jobs.accept import accept_jobs
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.models import LiveJob, UniqueClaim
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.retry import retry_job
from jobservice.jobs.unique_claims import UniqueConflict, prune_unique_claims
from tests.factories import Tenant, make_job, make_submission
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.races.acting import acting, asking, ends_of, state_after
from tests.races.unique_keys import CONFLICTS, KEY, check_holders, clear, submitting

Race = Callable[..., list[Any]]
ROUNDS = 12


def test_ends_of_many_holders_beside_groups_of_their_keys_do_not_block_each_other(
    racing_tenant: Tenant, race: Race
) -> None:
    keys = [f"k{n}" for n in range(40)]
    for on_conflict in CONFLICTS:
        for key in keys:
            make_job(racing_tenant, unique={"key": key})
        runs = start(claim())
        jobs = [make_submission(unique={"key": key, "on_conflict": on_conflict}) for key in reversed(keys)]
        outcomes = [outcome_of(run) for run in runs]
        random.Random(7).shuffle(outcomes)
        report, answers = race(
            "owner",
            acting("worker", record_outcomes, outcomes),
            acting("web", lambda jobs=jobs: accept_jobs(racing_tenant.id, jobs, is_atomic=False)),
        )
        assert report.recorded == 40
        assert all(isinstance(entry, dict | UniqueConflict) for entry in answers)
        check_holders(racing_tenant)
        clear(racing_tenant)


@pytest.mark.parametrize("on_conflict", CONFLICTS)
def test_a_submission_and_the_end_of_the_holder_come_one_after_the_other(
    racing_tenant: Tenant, race: Race, on_conflict: str
) -> None:
    for _ in range(ROUNDS):
        first = job_uuid(make_job(racing_tenant, unique=KEY))
        (run,) = start(claim())
        _, answer = race(
            "owner",
            acting("worker", record_outcomes, [outcome_of(run)]),
            acting("web", submitting(racing_tenant, on_conflict)),
        )
        assert state_after(first) == "completed"
        if isinstance(answer, UniqueConflict):
            assert on_conflict != "return"
            assert not LiveJob.objects.exists()
        elif answer["deduplicated"]:
            assert (job_uuid(answer), answer["state"] in ("executing", "completed")) == (first, True)
            assert not LiveJob.objects.exists()
        else:
            assert LiveJob.objects.get().job_id == job_uuid(answer)
        check_holders(racing_tenant)
        clear(racing_tenant)


@pytest.mark.parametrize("end", ["cancel", "expire"])
def test_other_ends_of_a_waiting_holder_and_a_replacer_end_it_once(racing_tenant: Tenant, race: Race, end: str) -> None:
    for _ in range(ROUNDS):
        first = job_uuid(make_job(racing_tenant, unique=KEY, start_deadline_seconds=60))
        if end == "expire":
            LiveJob.objects.update(start_deadline_at=Now() - timedelta(seconds=1))
        ender = asking(cancel_job, racing_tenant.id, first) if end == "cancel" else acting("dispatcher", expire_jobs)
        _, answer = race("owner", ender, acting("web", submitting(racing_tenant, "replace")))
        assert isinstance(answer, dict)
        assert (state_after(first), ends_of(first)) == ("cancelled", 1)
        assert LiveJob.objects.get().job_id == job_uuid(answer)
        check_holders(racing_tenant)
        clear(racing_tenant)


def test_a_replacer_and_a_start_never_leave_two_holders(racing_tenant: Tenant, race: Race) -> None:
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS * 2):
        first = job_uuid(make_job(racing_tenant, unique=KEY))
        refs = claim()
        started, answer = race(
            "owner",
            acting("worker", lambda refs=refs: start(refs)),
            acting("web", submitting(racing_tenant, "replace")),
        )
        if started:
            assert isinstance(answer, UniqueConflict)
            assert (LiveJob.objects.get().job_id, state_after(first)) == (first, "executing")
        else:
            assert state_after(first) == "cancelled"
            assert LiveJob.objects.get().job_id == job_uuid(answer)
        seen["started" if started else "replaced"] += 1
        check_holders(racing_tenant)
        clear(racing_tenant)
    assert sum(seen.values()) == ROUNDS * 2


def test_a_start_and_a_submission_share_the_key_of_waiting_jobs_in_one_order(racing_tenant: Tenant, race: Race) -> None:
    for on_conflict in CONFLICTS * 4:
        make_job(racing_tenant, unique={**KEY, "while": "waiting"})
        refs = claim()
        started, answer = race(
            "owner",
            acting("worker", lambda refs=refs: start(refs)),
            acting("web", submitting(racing_tenant, on_conflict, **{"while": "waiting"})),
        )
        is_new = isinstance(answer, dict) and not answer["deduplicated"]
        assert UniqueClaim.objects.count() == int(is_new or not started)
        assert LiveJob.objects.count() == len(started) + is_new
        check_holders(racing_tenant)
        clear(racing_tenant)


def test_of_two_retries_of_jobs_with_one_key_and_a_submission_one_gets_it(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        ended = []
        for _ in range(2):
            ended.append(job_uuid(make_job(racing_tenant, unique=KEY)))
            record(*map(outcome_of, start(claim())))
        retries = [asking(retry_job, racing_tenant.id, job_id) for job_id in ended]
        *refusals, answer = race("web", *retries, submitting(racing_tenant))
        assert LiveJob.objects.count() == 1
        assert isinstance(answer, dict)
        won = [job_id for job_id, refusal in zip(ended, refusals, strict=True) if refusal is None]
        assert LiveJob.objects.get().job_id == (won[0] if won else job_uuid(answer))
        assert job_uuid(answer) == LiveJob.objects.get().job_id
        check_holders(racing_tenant)
        clear(racing_tenant)


def test_a_key_of_an_ended_job_is_pruned_erased_or_taken_once(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        first = job_uuid(make_job(racing_tenant, unique={**KEY, "period_seconds": 1}))
        record(*map(outcome_of, start(claim())))
        UniqueClaim.objects.update(expires_at=Now() - timedelta(seconds=1))
        *_, one, other = race(
            "owner",
            acting("dispatcher", prune_unique_claims),
            asking(erase_job, racing_tenant.id, first),
            acting("web", submitting(racing_tenant)),
            acting("web", submitting(racing_tenant)),
        )
        assert one["id"] == other["id"]
        assert {one["deduplicated"], other["deduplicated"]} == {True, False}
        check_holders(racing_tenant)
        clear(racing_tenant)


def test_nobody_who_ends_a_job_waits_for_a_submission_of_its_key(racing_tenant: Tenant, race: Race) -> None:
    """A transaction that was told of the holder, and goes on, holds up neither a worker nor a dispatcher."""
    make_job(racing_tenant, unique=KEY)
    (run,) = start(claim())
    is_told, is_over = threading.Event(), threading.Event()

    def be_told() -> None:
        with transaction.atomic():
            assert make_job(racing_tenant, unique=KEY)["deduplicated"]
            is_told.set()
            assert is_over.wait(30)

    def end() -> int:
        assert is_told.wait(30)
        recorded = record_outcomes([outcome_of(run)]).recorded
        is_over.set()
        return recorded

    assert race("owner", acting("web", be_told), acting("worker", end))[1] == 1
    check_holders(racing_tenant)


@pytest.mark.parametrize("point", ["accept.before_insert", "accept.before_commit"])
def test_a_crash_between_key_and_job_leaves_neither(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    first = job_uuid(make_job(racing_tenant, unique=KEY))

    def die(name: str) -> None:
        if name == point:
            raise SystemExit

    with monkeypatch.context() as patch:
        for module in ("accept", "store"):
            patch.setattr(f"jobservice.jobs.{module}.crash_point", die)
        with pytest.raises(SystemExit):
            race("web", lambda: make_job(racing_tenant, unique={**KEY, "on_conflict": "replace"}))
    assert (LiveJob.objects.get().job_id, UniqueClaim.objects.get().job_id) == (first, first)
    (answer,) = race("web", submitting(racing_tenant, "replace"))
    assert LiveJob.objects.get().job_id == job_uuid(answer)


def test_a_crash_between_end_and_commit_leaves_the_key_with_its_job(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = job_uuid(make_job(racing_tenant, unique=KEY))
    (run,) = start(claim())

    def die(name: str) -> None:
        if name == "record.before_commit":
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("jobservice.jobs.record.crash_point", die)
        with pytest.raises(SystemExit):
            race("worker", lambda: record_outcomes([outcome_of(run)]))
    assert (state_after(job_id), UniqueClaim.objects.get().held_while) == ("executing", "unfinished")
    record(outcome_of(run))
    assert not UniqueClaim.objects.exists()
