"""A job that stands in for another: what goes over to it, sealed anew, and what refuses it as any submission."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobservice.crypto.envelope import sealed_under
from jobservice.errors import Forbidden, Invalid, NotFound, QuotaExceeded, UnknownJobType
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.job_types import delete_job_type, put_job_type
from jobservice.jobs.models import Job, UniqueClaim
from jobservice.jobs.resealing import rotate_tenant_key
from jobservice.jobs.retry import retry_job
from jobservice.jobs.retry_edited import list_followers, retry_edited
from jobservice.jobs.selectors import find_job, list_jobs
from jobservice.jobs.submission import PayloadTooLarge
from jobservice.jobs.unique_claims import UniqueConflict
from jobservice.webhooks.models import Event
from tenants.blobs import open_blob
from tenants.data_keys import tenant_keys
from tenants.models import Blob
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start

pytestmark = pytest.mark.django_db
OPTIONS: dict[str, Any] = {
    "queue": "invoices",
    "priority": 3,
    "timeout_seconds": 77,
    "max_attempts": 5,
    "retry": {"strategy": "fixed", "initial_seconds": 9},
    "tags": {"customer": "7"},
    "start_deadline_seconds": 600,
    "concurrency_key": "shop-7",
    "callback_url": "http://127.0.0.1:9/ended?token=s3cr3t",
    "metadata": {"trace": "abc"},
}
SAME = [
    *("type", "executor", "queue", "pool", "priority", "timeout_seconds", "max_attempts", "retry", "tags"),
    *("concurrency_hash", "unique_hash", "unique_while", "on_crash"),
]


def ended(tenant: Tenant, **fields: Any) -> Job:
    made = make_job(tenant, **fields)
    cancel_job(tenant.id, job_uuid(made))
    return Job.objects.get(id=job_uuid(made))


def follow(tenant: Tenant, old: Job, payload: object = None, *, key: str = "k", **options: Any) -> Job:
    made = retry_edited(tenant.id, old.id, payload, key=key, **options)
    return Job.objects.get(id=job_uuid({"id": made}))


def opened(tenant: Tenant, blob_id: Any, kind: str) -> bytes:
    sealed = bytes(Blob.objects.get(id=blob_id).sealed)
    assert sealed_under(sealed) == tenant_keys(tenant.id).current.version
    return open_blob(tenant.id, kind=kind, blob_id=blob_id, sealed=sealed)


def test_all_that_it_was_submitted_with_goes_over_and_is_sealed_anew(tenant: Tenant) -> None:
    old = ended(tenant, payload={"a": 1}, unique={"key": "order-7", "while": "waiting"}, **OPTIONS)
    rotate_tenant_key(tenant.id, progress=lambda *_: None)
    new = follow(tenant, old, {"a": 2})
    assert {name: getattr(new, name) for name in SAME} == {name: getattr(old, name) for name in SAME}
    assert new.retry_of == old.id
    assert new.start_deadline_at == new.run_at + timedelta(seconds=600)
    assert new.run_at == new.created_at
    assert {new.payload_id, new.metadata_id, new.callback_id}.isdisjoint(
        {old.payload_id, old.metadata_id, old.callback_id}
    )
    assert opened(tenant, new.payload_id, "payload") == b'{"a":2}'
    assert opened(tenant, new.metadata_id, "metadata") == b'{"trace":"abc"}'
    assert opened(tenant, new.callback_id, "callback_url") == OPTIONS["callback_url"].encode()


def test_its_retry_policy_is_the_old_jobs_and_not_mixed_with_what_its_type_says_by_now(tenant: Tenant) -> None:
    put_job_type(tenant.id, "t.own", {"executor": "handler", "handler": "echo"})
    old = ended(tenant, type="t.own", retry={"initial_seconds": 9})
    defaults = {"retry": {"schedule_seconds": [1, 2]}, "queue": "other"}
    put_job_type(tenant.id, "t.own", {"executor": "handler", "handler": "echo", "defaults": defaults})
    new = follow(tenant, old)
    assert (new.retry, new.queue) == ({"initial_seconds": 9}, "default")


def test_the_link_is_seen_from_both_sides_in_lists_and_in_its_end(tenant: Tenant, other_tenant: Tenant) -> None:
    old = ended(tenant)
    new, newer = follow(tenant, old, key="a"), follow(tenant, old, key="b")
    shown = [find_job(tenant.id, job.id) for job in (old, new)]
    old_id, new_id = (found.job["id"] for found in shown if found)
    assert [found.job["retry_of"] for found in shown if found] == [None, old_id]
    assert list_followers(tenant.id, old.id, limit=5)[1] == new_id
    assert len(list_followers(tenant.id, old.id, limit=1)) == 1
    assert list_followers(tenant.id, newer.id, limit=5) == []
    assert list_followers(other_tenant.id, old.id, limit=5) == []
    assert [job["retry_of"] for job in list_jobs(tenant.id, filters=JobFilters(), limit=5).data] == [
        old_id,
        old_id,
        None,
    ]
    record(*(outcome_of(job) for job in start(claim())))
    told = [event.job for event in Event.objects.filter(type="job.completed")]
    assert [job and job["retry_of"] for job in told] == [old_id, old_id]


@pytest.mark.parametrize("state", ["scheduled", "erased", "foreign"])
def test_only_a_job_of_the_tenants_that_is_over_is_followed(tenant: Tenant, other_tenant: Tenant, state: str) -> None:
    old = ended(other_tenant if state == "foreign" else tenant)
    if state == "scheduled":
        retry_job(tenant.id, old.id)
        change_job(tenant.id, old.id, JobChange(delay_seconds=60))
    if state == "erased":
        erase_job(tenant.id, old.id)
    with pytest.raises(Exception) as caught:
        follow(tenant, old)
    assert (type(caught.value) is NotFound) == (state != "scheduled")
    assert not Job.objects.filter(retry_of__isnull=False).exists()


def test_its_key_is_taken_again_unless_somebody_has_it(tenant: Tenant) -> None:
    old = ended(tenant, unique={"payload_pointers": ["/order"]}, payload={"order": 1})
    new = follow(tenant, old, {"order": 2})
    assert UniqueClaim.objects.get(hash=old.unique_hash).job_id == new.id
    with pytest.raises(UniqueConflict) as caught:
        follow(tenant, old, {"order": 3}, key="again")
    assert caught.value.holder_id == new.id


def test_a_period_of_the_old_key_that_still_runs_refuses_it(tenant: Tenant) -> None:
    old = ended(tenant, unique={"key": "k", "period_seconds": 3600})
    with pytest.raises(UniqueConflict) as caught:
        follow(tenant, old)
    assert caught.value.holder_id == old.id


def test_it_is_refused_as_any_submission(tenant: Tenant) -> None:
    call = ended(tenant, type="http.request", payload={"method": "GET", "url": "http://127.0.0.1:9/"})
    with pytest.raises(Invalid, match="invalid"):
        follow(tenant, call, {"method": "GET"})
    put_job_type(tenant.id, "t.own", {"executor": "handler", "handler": "echo"})
    old = ended(tenant, type="t.own")
    with pytest.raises(PayloadTooLarge):
        follow(tenant, old, "x" * 99, quotas={"payload_bytes": 100})
    with pytest.raises(QuotaExceeded):
        follow(tenant, old, quotas={"open_jobs": 0})
    with pytest.raises(Forbidden):
        follow(tenant, old, queues={"others"})
    delete_job_type(tenant.id, "t.own")
    with pytest.raises(UnknownJobType):
        follow(tenant, old)
    assert Job.objects.count() == 2
