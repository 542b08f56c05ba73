"""`unique` of `POST /v1/jobs` and of a retry: at most one job of the tenant holds a key, for as long as it says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.models import IdempotencyKey, Job, LiveJob, UniqueClaim
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.unique_claims import prune_unique_claims
from jobservice.webhooks.models import Delivery, Event
from tests.api.keys import make_key, problem
from tests.factories import Tenant
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.roles import as_role

pytestmark = pytest.mark.django_db

KEY = {"key": "invoice-42"}


def submit(api: Any, tenant: Tenant, unique: Any = KEY, *, key: str | None = None, **fields: Any) -> Any:
    body = {"type": "echo", **fields, "unique": unique}
    return api.post("/v1/jobs", body, key=key or tenant.api_key)


def read(api: Any, tenant: Tenant, job: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    return shown


def act(api: Any, tenant: Tenant, job: dict[str, Any], verb: str) -> Any:
    return api.post(f"/v1/jobs/{job['id']}/{verb}", key=tenant.api_key)


def run(kind: Any = "completed", **fields: Any) -> None:
    (started,) = start(claim())
    assert record(outcome_of(started, kind, **fields)).recorded == 1


def is_taken(api: Any, tenant: Tenant, unique: Any = KEY, **fields: Any) -> bool:
    """Whether another job would be turned away; one that is let in is undone."""
    answer = submit(api, tenant, {**unique, "on_conflict": "reject"}, **fields)
    if answer.status_code == 409:
        return True
    assert answer.status_code == 201
    act(api, tenant, answer.json(), "cancel")
    return False


def conflict(answer: Any) -> Any:
    """The id that the conflict names."""
    return problem(answer, 409, "unique-conflict")["existing_id"]


def let_period_pass() -> None:
    UniqueClaim.objects.update(expires_at=Now() - timedelta(seconds=1))


# What is answered.


def test_a_second_job_with_the_key_is_answered_with_the_first(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant, payload={"n": 1})
    assert (first.status_code, first.json()["unique_key_set"], first.json()["deduplicated"]) == (201, True, False)
    second = submit(api, tenant, payload={"n": 2}, queue="other", priority=3)
    assert (second.status_code, second.headers["Location"]) == (200, first.headers["Location"])
    assert second.json() == {**first.json(), "deduplicated": True}
    assert read(api, tenant, first.json())["deduplicated"] is False
    assert (Job.objects.count(), LiveJob.objects.count(), UniqueClaim.objects.count()) == (1, 1, 1)


def test_the_answer_shows_the_job_as_it_is_now(api: Any, tenant: Tenant) -> None:
    submit(api, tenant)
    start(claim())
    shown = submit(api, tenant).json()
    assert (shown["state"], shown["attempt"], shown["deduplicated"]) == ("executing", 1, True)


def test_reject_is_a_conflict_that_names_the_job(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant).json()
    refused = submit(api, tenant, {**KEY, "on_conflict": "reject"})
    assert conflict(refused) == first["id"]
    assert Job.objects.count() == 1


def test_replace_cancels_a_job_that_waits_and_takes_its_place(api: Any, tenant: Tenant) -> None:
    replacing = {**KEY, "on_conflict": "replace"}
    for how in ("scheduled", "available", "dispatched", "retryable", "suspended"):
        first = submit(api, tenant, callback_url="http://127.0.0.1:9/", delay_seconds=60 * (how == "scheduled")).json()
        if how in ("dispatched", "retryable", "suspended"):
            refs = claim()
        if how == "retryable":
            record(outcome_of(start(refs)[0], "failed", error_code="no"))
        if how == "suspended":
            start(refs)
            LiveJob.objects.update(attempt=3, crash_count=2)
            end_lease(first)
            with as_role("dispatcher"):
                assert reap_leases().suspended == 1
        assert read(api, tenant, first)["state"] == how
        second = submit(api, tenant, replacing)
        assert (second.status_code, second.json()["state"], second.json()["deduplicated"]) == (201, "available", False)
        shown = read(api, tenant, first)
        assert (shown["state"], shown["error"]["code"]) == ("cancelled", "replaced"), how
        event = Event.objects.get(job_id=job_uuid(first), type="job.cancelled")
        assert Delivery.objects.filter(event_id=event.id).count() == 1
        assert UniqueClaim.objects.get().job_id == job_uuid(second.json())
        act(api, tenant, second.json(), "cancel")
        assert not UniqueClaim.objects.exists()


def test_a_worker_that_was_chosen_for_a_replaced_job_finds_nothing(api: Any, tenant: Tenant) -> None:
    submit(api, tenant)
    refs = claim()
    submit(api, tenant, {**KEY, "on_conflict": "replace"})
    assert start(refs) == []


def test_replace_leaves_a_run_alone(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant).json()
    start(claim())
    refused = submit(api, tenant, {**KEY, "on_conflict": "replace"})
    assert conflict(refused) == first["id"]
    assert (read(api, tenant, first)["state"], Job.objects.count()) == ("executing", 1)


def test_replace_takes_a_free_key_like_any_other(api: Any, tenant: Tenant) -> None:
    assert submit(api, tenant, {**KEY, "on_conflict": "replace"}).status_code == 201
    assert is_taken(api, tenant)


# How long it is held.


def test_the_key_is_free_when_the_job_is_over(api: Any, tenant: Tenant) -> None:
    def end(kind: str) -> None:
        if kind == "cancelled":
            act(api, tenant, {"id": submit(api, tenant).json()["id"]}, "cancel")
        elif kind == "expired":
            LiveJob.objects.update(start_deadline_at=Now() - timedelta(seconds=1))
            with as_role("dispatcher"):
                assert expire_jobs() == 1
        elif kind == "discarded":
            run("failed", is_permanent=True, error_code="no")
        else:
            run()

    for kind in ("completed", "discarded", "cancelled", "expired"):
        assert submit(api, tenant, start_deadline_seconds=60).status_code == 201, kind
        assert is_taken(api, tenant)
        end(kind)
        assert not UniqueClaim.objects.exists(), kind


def test_a_job_that_failed_or_crashed_or_was_given_back_holds_its_key(api: Any, tenant: Tenant) -> None:
    submit(api, tenant, retry={"initial_seconds": 600})
    assert is_taken(api, tenant)
    (started,) = start(claim())
    record(outcome_of(started, "crashed"))
    assert is_taken(api, tenant)
    run("failed", error_code="no")
    assert is_taken(api, tenant)
    assert LiveJob.objects.get().state == "retryable"


def test_while_waiting_frees_the_key_at_the_first_start_for_good(api: Any, tenant: Tenant) -> None:
    waiting = {**KEY, "while": "waiting"}
    first = submit(api, tenant, waiting).json()
    assert is_taken(api, tenant)
    (started,) = start(claim())
    assert not UniqueClaim.objects.exists()
    second = submit(api, tenant, waiting)
    assert second.status_code == 201
    # The first comes back to wait; both do, and nothing conflicts.
    assert record(outcome_of(started, "crashed")).recorded == 1
    assert read(api, tenant, first)["state"] == "available"
    assert UniqueClaim.objects.get().job_id == job_uuid(second.json())
    assert len(start(claim())) == 2


def test_a_period_holds_the_key_though_the_job_is_over(api: Any, tenant: Tenant) -> None:
    timed = {**KEY, "period_seconds": 3600}
    first = submit(api, tenant, timed).json()
    held = UniqueClaim.objects.get()
    assert held.expires_at is not None
    assert held.expires_at == Job.objects.get().created_at + timedelta(hours=1)
    run()
    again = submit(api, tenant, timed)
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (200, first["id"], "completed")
    assert is_taken(api, tenant)
    let_period_pass()
    # Not pruned yet, and free all the same.
    assert submit(api, tenant, KEY).status_code == 201
    assert UniqueClaim.objects.get().expires_at is None


def test_a_period_holds_the_key_though_the_job_has_started(api: Any, tenant: Tenant) -> None:
    timed = {**KEY, "period_seconds": 3600, "while": "waiting"}
    submit(api, tenant, timed)
    start(claim())
    assert is_taken(api, tenant)
    let_period_pass()
    assert not is_taken(api, tenant)


def test_a_period_that_is_over_frees_nothing_while_the_job_goes_on(api: Any, tenant: Tenant) -> None:
    submit(api, tenant, {**KEY, "period_seconds": 1})
    let_period_pass()
    assert is_taken(api, tenant)
    with as_role("dispatcher"):
        assert prune_unique_claims() == 0
    run()
    assert not is_taken(api, tenant)


def test_replace_takes_the_key_of_a_job_that_is_over_and_leaves_the_job_alone(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant, {**KEY, "period_seconds": 3600}).json()
    run()
    assert submit(api, tenant, {**KEY, "on_conflict": "replace"}).status_code == 201
    assert read(api, tenant, first)["state"] == "completed"
    assert Event.objects.filter(job_id=job_uuid(first)).count() == 1


def test_pruning_removes_what_nobody_holds_any_more(api: Any, tenant: Tenant) -> None:
    submit(api, tenant, {"key": "over", "period_seconds": 60})
    run()
    submit(api, tenant, {"key": "running", "period_seconds": 60})
    with as_role("dispatcher"):
        assert prune_unique_claims() == 0
        UniqueClaim.objects.exists()
    let_period_pass()
    with as_role("dispatcher"):
        assert prune_unique_claims() == 1
    assert UniqueClaim.objects.get().held_while == "unfinished"


def test_erasing_a_job_frees_its_key(api: Any, tenant: Tenant) -> None:
    job = submit(api, tenant, {**KEY, "period_seconds": 3600}).json()
    run()
    assert api.delete(f"/v1/jobs/{job['id']}", key=tenant.api_key).status_code == 204
    assert not UniqueClaim.objects.exists()


def test_a_change_of_the_job_leaves_the_key_as_it_was_submitted(api: Any, tenant: Tenant) -> None:
    unique = {"fields": ["priority", "tags"]}
    job = submit(api, tenant, unique, priority=1, tags={"a": "1"}).json()
    api.patch(f"/v1/jobs/{job['id']}", {"priority": 2, "tags": {"a": "2"}}, key=tenant.api_key)
    assert is_taken(api, tenant, unique, priority=1, tags={"a": "1"})
    assert not is_taken(api, tenant, unique, priority=2, tags={"a": "2"})


# A retry.


def test_a_retry_takes_the_key_again(api: Any, tenant: Tenant) -> None:
    job = submit(api, tenant).json()
    run()
    assert act(api, tenant, job, "retry").json()["state"] == "available"
    assert is_taken(api, tenant)
    run()
    assert not UniqueClaim.objects.exists()


def test_a_retry_is_refused_while_another_job_holds_the_key(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant).json()
    run()
    second = submit(api, tenant).json()
    refused = act(api, tenant, first, "retry")
    assert conflict(refused) == second["id"]
    assert (read(api, tenant, first)["state"], LiveJob.objects.count()) == ("completed", 1)
    run()
    assert act(api, tenant, first, "retry").status_code == 200


def test_a_replaced_job_cannot_be_retried_beside_its_successor(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant).json()
    submit(api, tenant, {**KEY, "on_conflict": "replace"})
    assert conflict(act(api, tenant, first, "retry"))


def test_a_retry_keeps_the_period_of_its_job(api: Any, tenant: Tenant) -> None:
    job = submit(api, tenant, {**KEY, "period_seconds": 3600}).json()
    until = UniqueClaim.objects.get().expires_at
    run()
    assert act(api, tenant, job, "retry").status_code == 200
    held = UniqueClaim.objects.get()
    assert (held.held_while, held.expires_at) == ("unfinished", until)


def test_a_retry_of_a_job_that_has_started_takes_no_key_of_waiting_jobs(api: Any, tenant: Tenant) -> None:
    waiting = {**KEY, "while": "waiting"}
    started = submit(api, tenant, waiting).json()
    run()
    cancelled = submit(api, tenant, waiting).json()
    act(api, tenant, cancelled, "cancel")
    other = submit(api, tenant, waiting).json()
    assert act(api, tenant, started, "retry").status_code == 200
    assert conflict(act(api, tenant, cancelled, "retry"))
    act(api, tenant, other, "cancel")
    assert act(api, tenant, cancelled, "retry").status_code == 200


def test_a_job_that_waits_is_retried_with_the_key_it_holds(api: Any, tenant: Tenant) -> None:
    job = submit(api, tenant, retry={"initial_seconds": 600}).json()
    run("failed", error_code="no")
    assert act(api, tenant, job, "retry").status_code == 200
    assert UniqueClaim.objects.count() == 1


# Keys that are limited to queues.


def test_a_limited_key_is_not_told_of_a_job_elsewhere(api: Any, tenant: Tenant) -> None:
    mail = make_key(tenant, "jobs:write", "jobs:read", queues=["mail"])
    first = submit(api, tenant, queue="letters").json()
    for on_conflict in ("return", "reject", "replace"):
        refused = submit(api, tenant, {**KEY, "on_conflict": on_conflict}, key=mail, queue="mail")
        assert conflict(refused) is None
        assert first["id"] not in refused.content.decode()
    assert read(api, tenant, first)["state"] == "available"
    act(api, tenant, first, "cancel")
    mine = submit(api, tenant, key=mail, queue="mail").json()
    assert submit(api, tenant, key=mail, queue="mail").json()["id"] == mine["id"]


def test_a_limited_keys_retry_is_not_told_of_a_job_elsewhere(api: Any, tenant: Tenant) -> None:
    mail = make_key(tenant, "jobs:write", queues=["mail"])
    mine = submit(api, tenant, key=mail, queue="mail").json()
    run()
    submit(api, tenant, queue="letters")
    refused = api.post(f"/v1/jobs/{mine['id']}/retry", key=mail)
    assert conflict(refused) is None


# With an Idempotency-Key.


def test_a_deduplicated_answer_is_replayed(api: Any, tenant: Tenant) -> None:
    first = submit(api, tenant).json()
    body = {"type": "echo", "unique": KEY}
    once, twice = (api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key="i") for _ in range(2))
    assert (once.status_code, twice.status_code, twice.content) == (200, 200, once.content)
    assert (once.json()["id"], twice.headers["Idempotent-Replayed"]) == (first["id"], "true")
    run()
    assert api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key="i").content == once.content


def test_a_conflict_is_not_kept(api: Any, tenant: Tenant) -> None:
    submit(api, tenant)
    body = {"type": "echo", "unique": {**KEY, "on_conflict": "reject"}}
    assert conflict(api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key="i"))
    assert not IdempotencyKey.objects.exists()
    run()
    assert api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key="i").status_code == 201
