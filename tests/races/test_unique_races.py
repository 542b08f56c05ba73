"""Submissions with the same unique key at once, on real commits: one job holds it, everybody else is told which, nobody
waits in a circle, and nothing is answered with 500."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import transaction

from jobservice.errors import QuotaExceeded
from jobservice.jobs import unique_claims, uniqueness
from jobservice.jobs.accept import accept_jobs
from jobservice.jobs.erase import erase_job
from jobservice.jobs.models import Job, LiveJob, Queue, UniqueClaim
from jobservice.jobs.unique_claims import UniqueConflict
from tests.factories import Tenant, make_job, make_submission, make_tenant
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.races.acting import ends_of
from tests.races.unique_keys import (
    CONFLICTS,
    KEY,
    body_of,
    check_holders,
    clear,
    open_queue,
    post,
    submitting,
    wait_for_waiters,
)

Race = Callable[..., list[Any]]


@pytest.mark.parametrize("is_first_of_queue", [True, False])
def test_fifty_at_once_make_one_job_and_all_name_it(racing_tenant: Tenant, race: Race, is_first_of_queue: bool) -> None:
    if not is_first_of_queue:
        # Then a job alone tries to take its key with the statement that stores it.
        open_queue(racing_tenant)
    calls = [
        *(post(racing_tenant, "/v1/jobs", body_of(("return", "reject")[n % 2])) for n in range(32)),
        *(
            post(
                racing_tenant,
                "/v1/jobs/bulk",
                {"mode": "partial", "jobs": [body_of(key=f"o{n}"), body_of(), body_of()]},
            )
            for n in range(18)
        ),
    ]
    assert len(calls) == 50
    answers = race("web", *calls)
    named, made = Counter[str](), 0
    for answer in answers:
        shown = answer.json()
        for entry in [e for e in shown["data"] if e["index"] > 0] if "data" in shown else [None]:
            status = answer.status_code if entry is None else entry["status"]
            assert status in (200, 201, 409), answer.content
            told = shown if entry is None else entry.get("job") or entry["problem"]
            named[told["existing_id"] if status == 409 else told["id"]] += 1
            made += status == 201
    assert (len(named), sum(named.values()), made) == (1, 32 + 36, 1)
    assert LiveJob.objects.count() == 1 + 18
    check_holders(racing_tenant)


def test_of_fifty_that_replace_one_is_left_and_each_other_was_replaced_once(racing_tenant: Tenant, race: Race) -> None:
    answers = race("web", *[post(racing_tenant, "/v1/jobs", body_of("replace")) for _ in range(50)])
    assert Counter(answer.status_code for answer in answers) == {201: 50}
    assert (LiveJob.objects.count(), Job.objects.filter(error_code="replaced").count()) == (1, 49)
    assert {ends_of(job_id) for job_id in Job.objects.filter(error_code="replaced").values_list("id", flat=True)} == {1}
    check_holders(racing_tenant)


def test_replacers_beside_those_that_return_leave_one(racing_tenant: Tenant, race: Race) -> None:
    kinds = itertools.cycle(("replace", "return", "reject"))
    answers = race("web", *[post(racing_tenant, "/v1/jobs", body_of(next(kinds))) for _ in range(30)])
    assert set(Counter(answer.status_code for answer in answers)) <= {200, 201, 409}
    assert LiveJob.objects.count() == 1
    check_holders(racing_tenant)


@pytest.mark.parametrize("kinds", [("return", "reject"), CONFLICTS], ids=["nobody-replaces", "some-replace"])
def test_groups_with_the_same_keys_in_any_order_do_not_block_each_other(
    racing_tenant: Tenant, race: Race, kinds: tuple[str, ...]
) -> None:
    def storing(round_: int, seed: int) -> Callable[[], Any]:
        chance = random.Random(100 * round_ + seed)
        unique = [{"key": f"{round_} {n}", "on_conflict": chance.choice(kinds)} for n in range(60)]
        chance.shuffle(unique)
        jobs = [make_submission(unique=one) for one in unique]
        return lambda: accept_jobs(racing_tenant.id, jobs, is_atomic=False)

    for round_ in range(4):
        answers = race("web", *[storing(round_, seed) for seed in range(8)])
        assert all(isinstance(entry, dict | UniqueConflict) for answer in answers for entry in answer)
        assert LiveJob.objects.count() == 60 * (round_ + 1)
        check_holders(racing_tenant)


@pytest.mark.parametrize("keys", [["k"], ["a", "k", "z"]], ids=["alone", "among others"])
def test_a_holder_that_is_erased_between_the_two_looks_is_looked_for_again(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    first = job_uuid(make_job(racing_tenant, unique={**KEY, "period_seconds": 600}))
    record(*map(outcome_of, start(claim())))
    is_found, may_go_on = threading.Event(), threading.Event()
    find = unique_claims.find_holders

    def find_slowly(*arguments: Any) -> Any:
        found = find(*arguments)
        if found and not is_found.is_set():
            is_found.set()
            assert may_go_on.wait(30)
        return found

    monkeypatch.setattr(uniqueness, "find_holders", find_slowly)

    def erase() -> None:
        assert is_found.wait(30)
        erase_job(racing_tenant.id, first)
        may_go_on.set()

    jobs = [make_submission(unique={"key": key}) for key in keys]
    answers, _ = race("web", lambda: accept_jobs(racing_tenant.id, jobs, is_atomic=False), erase)
    assert [answer["deduplicated"] for answer in answers] == [False] * len(keys)
    assert LiveJob.objects.count() == UniqueClaim.objects.count() == len(keys)
    check_holders(racing_tenant)


def test_another_tenant_never_waits_and_never_conflicts(racing_tenant: Tenant, race: Race) -> None:
    other = make_tenant()
    done = threading.Event()

    def hold() -> None:
        with transaction.atomic():
            make_job(racing_tenant, unique=KEY)
            assert done.wait(30)

    def submit_elsewhere() -> Any:
        answer = make_job(other, unique=KEY)
        done.set()
        return answer

    _, answer = race("web", hold, submit_elsewhere)
    assert answer["deduplicated"] is False
    assert UniqueClaim.objects.count() == 2


def test_who_waits_for_a_submission_that_is_undone_takes_the_key(racing_tenant: Tenant, race: Race) -> None:
    open_queue(racing_tenant)
    has_taken = threading.Event()

    def fail() -> None:
        with transaction.atomic():
            make_job(racing_tenant, unique=KEY)
            has_taken.set()
            wait_for_waiters(1)
            transaction.set_rollback(True)

    def come_second() -> Any:
        assert has_taken.wait(30)
        return submitting(racing_tenant)()

    _, answer = race("web", fail, come_second)
    assert answer["deduplicated"] is False
    assert LiveJob.objects.get().job_id == job_uuid(answer)
    check_holders(racing_tenant)


def test_keys_are_taken_in_one_order_whatever_the_order_of_the_group(racing_tenant: Tenant, race: Race) -> None:
    """Both groups reach the middle key, which is being taken, with their first one in hand if they had their way."""
    open_queue(racing_tenant)
    for keys in itertools.permutations("abc"):
        has_taken = threading.Event()

        def hold(middle: str = keys[1], has_taken: threading.Event = has_taken) -> None:
            with transaction.atomic():
                make_job(racing_tenant, unique={"key": middle})
                has_taken.set()
                wait_for_waiters(2)

        def storing(wanted: Sequence[str], has_taken: threading.Event = has_taken) -> Callable[[], Any]:
            jobs = [make_submission(unique={"key": key}) for key in wanted]

            def act() -> Any:
                assert has_taken.wait(30)
                return accept_jobs(racing_tenant.id, jobs, is_atomic=False)

            return act

        _, *answers = race("web", hold, storing(keys), storing(keys[::-1]))
        assert all(isinstance(entry, dict) for answer in answers for entry in answer)
        assert LiveJob.objects.count() == 3
        check_holders(racing_tenant)
        clear(racing_tenant)


def test_keys_in_queues_that_are_made_at_once_are_held_by_stored_jobs_only(racing_tenant: Tenant, race: Race) -> None:
    """Of five queues that are asked for there may be three; what is refused with its queue holds no key."""
    make_job(racing_tenant)
    keys = [f"k{number}" for number in range(6)]

    def submit(number: int) -> list[Any]:
        choose = random.Random(number)
        group = [
            make_submission(
                queue=choose.choice(["default", *(f"q{n}" for n in range(5))]),
                unique={"key": key, "on_conflict": choose.choice(CONFLICTS)},
            )
            for key in choose.sample(keys, 3)
        ]
        return accept_jobs(racing_tenant.id, group, is_atomic=False, max_queues=3)

    answers = [one for group in race("web", *[lambda n=n: submit(n) for n in range(40)]) for one in group]
    refused = [one for one in answers if isinstance(one, QuotaExceeded)]
    assert refused
    assert all(isinstance(one, dict | QuotaExceeded | UniqueConflict) for one in answers)
    assert Queue.objects.filter(tenant_id=racing_tenant.id).count() == 3
    check_holders(racing_tenant)
    # Whoever was refused left each key to others, or free.
    assert set(UniqueClaim.objects.values_list("job_id", flat=True)) <= set(Job.objects.values_list("id", flat=True))
