"""GET /v1/jobs/{id}/attempts and /events: what they show. Who may read them is in test_read_job.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models.signals import post_init
from django.utils import timezone

from jobservice import ids
from jobservice.jobs.models import Attempt
from jobservice.webhooks.models import DeliveryAttempt, Event
from tenants.blobs import insert_blobs, seal_blob
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def add_attempt(tenant: Any, job: dict[str, Any], number: int, *, seconds: int, message: str | None = None) -> None:
    error = None
    if message is not None:
        error = seal_blob(tenant.id, kind="error", plaintext=message.encode(), epoch=number)
        insert_blobs([error])
    Attempt.objects.create(
        id=ids.new_id(),
        tenant_id=tenant.id,
        job_id=job_uuid(job),
        number=number,
        epoch=number,
        worker_id=ids.new_id(),
        started_at=timezone.now() + timedelta(seconds=seconds),
        finished_at=timezone.now() + timedelta(seconds=seconds + 1),
        outcome="completed" if error is None else "failed",
        error_code=None if error is None else "handler-error",
        error_id=None if error is None else error.id,
    )


def job_uuid(job: dict[str, Any]) -> UUID:
    job_id = ids.parse_id(ids.JOB, job["id"])
    assert job_id is not None
    return job_id


def test_attempts_are_shown_newest_first_with_their_errors(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    add_attempt(tenant, job, 1, seconds=1, message="It broke")
    add_attempt(tenant, job, 2, seconds=5)
    last, first = api.get(f"/v1/jobs/{job['id']}/attempts", key=tenant.api_key).json()["data"]
    assert (first["number"], first["outcome"], first["error"]) == (
        1,
        "failed",
        {"code": "handler-error", "message": "It broke"},
    )
    assert (last["number"], last["epoch"], last["outcome"], last["error"]) == (2, 2, "completed", None)
    assert first["id"].startswith("att_")


def test_attempts_come_in_pages(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    for number in (1, 2, 3):
        add_attempt(tenant, job, number, seconds=number)
    first = api.get(f"/v1/jobs/{job['id']}/attempts?limit=2", key=tenant.api_key).json()
    rest = api.get(f"/v1/jobs/{job['id']}/attempts?cursor={first['next_cursor']}", key=tenant.api_key).json()
    assert [attempt["number"] for attempt in first["data"] + rest["data"]] == [3, 2, 1]
    assert rest["next_cursor"] is None


def test_the_timeline_tells_what_happened_in_order(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    now = timezone.now()
    own = {"tenant_id": tenant.id, "job_id": job_uuid(job)}
    event_id, delivery_id = ids.new_id(), ids.new_id()
    ended = {**job, "state": "completed"}
    DeliveryAttempt.objects.create(
        **own,
        id=ids.new_id(),
        delivery_id=delivery_id,
        event_id=event_id,
        number=1,
        at=now + timedelta(seconds=9),
        duration_ms=12,
        status=503,
        next_attempt_at=now + timedelta(seconds=14),
    )
    Event.objects.create(**own, id=event_id, type="job.completed", at=now + timedelta(seconds=8), job=ended, epoch=1)
    add_attempt(tenant, job, 1, seconds=3)
    entries = api.get(f"/v1/jobs/{job['id']}/events", key=tenant.api_key).json()["data"]
    assert [entry["type"] for entry in entries] == [
        "job.accepted",
        "attempt.ended",
        "job.completed",
        "delivery.attempted",
    ]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert entries[2]["id"] == ids.show_id(ids.EVENT, event_id)
    assert entries[2]["data"] == {"job": ended}
    delivery = entries[3]["data"]
    assert (delivery["status"], delivery["duration_ms"], delivery["number"]) == (503, 12, 1)
    assert delivery["delivery_id"] == ids.show_id(ids.DELIVERY, delivery_id)
    assert delivery["next_attempt_at"].endswith("Z")


def test_a_second_life_of_a_job_follows_its_first_end(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    own = {"tenant_id": tenant.id, "job_id": job_uuid(job), "job": {**job, "state": "discarded"}, "epoch": 1}
    Event.objects.create(**own, id=ids.new_id(), type="job.discarded", at=timezone.now() + timedelta(seconds=5))
    add_attempt(tenant, job, 1, seconds=1)
    add_attempt(tenant, job, 2, seconds=60)
    entries = api.get(f"/v1/jobs/{job['id']}/events", key=tenant.api_key).json()["data"]
    assert [entry["type"] for entry in entries] == ["job.accepted", "attempt.ended", "job.discarded", "attempt.ended"]


def test_the_timeline_comes_in_pages_that_keep_the_numbers(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    for number in (1, 2):
        add_attempt(tenant, job, number, seconds=number * 3)
    first = api.get(f"/v1/jobs/{job['id']}/events?limit=2", key=tenant.api_key).json()
    add_attempt(tenant, job, 3, seconds=60)
    rest = api.get(f"/v1/jobs/{job['id']}/events?cursor={first['next_cursor']}", key=tenant.api_key).json()
    assert [entry["seq"] for entry in first["data"] + rest["data"]] == [1, 2, 3, 4]
    assert rest["next_cursor"] is None


def test_a_page_of_a_long_timeline_reads_no_more_than_itself(api: Any, tenant: Any) -> None:
    """A job that is snoozed each second has them by the hundred thousand."""
    job = make_job(tenant)
    for number in range(1, 9):
        add_attempt(tenant, job, number, seconds=number)
    read: list[Attempt] = []

    def note(instance: Attempt, **_: Any) -> None:
        read.append(instance)

    post_init.connect(note, sender=Attempt)
    try:
        page = api.get(f"/v1/jobs/{job['id']}/events?limit=3", key=tenant.api_key).json()
    finally:
        post_init.disconnect(note, sender=Attempt)
    assert [entry["seq"] for entry in page["data"]] == [1, 2, 3]
    assert len(read) == 2
