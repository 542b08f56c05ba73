"""Accepts at once, with real threads, connections and commits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from jobservice.jobs import idempotency
from jobservice.jobs.accept import accept_jobs
from jobservice.jobs.models import IdempotencyKey, Job, Lane, LiveJob, Queue
from tests.factories import Tenant, make_submission, make_tenant

Race = Callable[..., list[Any]]


def post_job(tenant: Tenant, *, key: str) -> Any:
    headers = {"Authorization": f"Bearer {tenant.api_key}", "Idempotency-Key": key}
    return Client(raise_request_exception=False).post(
        "/v1/jobs", {"type": "echo"}, content_type="application/json", headers=headers
    )


def test_concurrent_twins_make_one_job(racing_tenant: Tenant, race: Race) -> None:
    for number in range(5):
        answers = race("web", *[lambda number=number: post_job(racing_tenant, key=f"k{number}")] * 8)
        outcomes = Counter(answer.status_code for answer in answers)
        assert set(outcomes) <= {201, 409}
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency-key-in-use"}
        assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert Job.objects.filter(tenant_id=racing_tenant.id).count() == 5


def test_a_twin_in_the_middle_of_the_first_is_told_to_come_again(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_storing, may_end = threading.Event(), threading.Event()
    keep = idempotency.keep_answer

    def keep_slowly(*arguments: Any) -> None:
        is_storing.set()
        assert may_end.wait(30)
        keep(*arguments)

    monkeypatch.setattr("api.idempotency.keep_answer", keep_slowly)

    def come_second() -> Any:
        assert is_storing.wait(30)
        answer = post_job(racing_tenant, key="k")
        may_end.set()
        return answer

    first, second = race("web", lambda: post_job(racing_tenant, key="k"), come_second)
    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["code"] == "idempotency-key-in-use"
    (third,) = race("web", lambda: post_job(racing_tenant, key="k"))
    assert third.content == first.content


def test_an_answer_that_never_arrived_is_given_again(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the commit and the answer: the client repeats and finds its job."""

    def die(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("api.idempotency._answer", die)
        with pytest.raises(SystemExit):
            race("web", lambda: post_job(racing_tenant, key="k"))
    (answer,) = race("web", lambda: post_job(racing_tenant, key="k"))
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (201, "true")
    (job,) = Job.objects.filter(tenant_id=racing_tenant.id)
    assert answer.json()["id"].startswith("job_")
    assert IdempotencyKey.objects.filter(tenant_id=job.tenant_id).count() == 1


def test_groups_that_make_the_same_queues_in_another_order_do_not_block_each_other(committed: None, race: Race) -> None:
    forth = [make_submission(queue=f"q{number}") for number in range(200)]
    for _ in range(5):
        tenant = make_tenant()

        def store(submissions: list[Any], tenant: Tenant = tenant) -> Any:
            return accept_jobs(tenant.id, submissions, is_atomic=True, max_queues=None)

        race("web", *[lambda store=store: store(forth), lambda store=store: store(forth[::-1])] * 3)
        assert LiveJob.objects.filter(tenant_id=tenant.id).count() == 6 * 200
        assert Lane.objects.filter(tenant_id=tenant.id).count() == 200
        assert Queue.objects.filter(tenant_id=tenant.id).count() == 200
