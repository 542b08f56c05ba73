"""DELETE /v1/jobs/{id}."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from jobservice import ids
from jobservice.errors import NotFound
from jobservice.ids import new_id
from jobservice.jobs import erase
from jobservice.jobs.erase import erase_job
from jobservice.jobs.models import IdempotencyKey, Job, UniqueClaim
from jobservice.statements import run_statement
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from jobservice.webhooks.models import LiveDelivery
from tenants.models import Blob
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import make_job
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start

pytestmark = pytest.mark.django_db
CALLBACK = "http://127.0.0.1:9/"


def end(tenant: Any, **fields: Any) -> dict[str, Any]:
    """A job that failed once, was tried again and completed, with a delivery that was tried once."""
    job = make_job(tenant, **{"callback_url": CALLBACK, "metadata": {"m": 1}, "tags": {"a": "1", "b": "2"}, **fields})
    record(outcome_of(start(claim())[0], "failed", error_message="It broke."))
    connection.cursor().execute("UPDATE job_live SET due_at = clock_timestamp(), state = 'available'")
    record(outcome_of(start(claim())[0]))
    return job


def try_delivery(role: Any) -> Any:
    """Claim and start the delivery that is due; its ref."""
    with role("dispatcher"):
        refs = claim_deliveries(1, lease_seconds=30)
    with role("worker"):
        (started,) = start_deliveries(refs, worker_id=new_id(), lease_seconds=30)
    return started.ref


def traces(job_id: UUID) -> dict[str, int]:
    """How many rows of each table hold the job's id, or the id of one of its sealed values, in whatever column."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s", [f"%{job_id}%"])
            (count,) = cursor.fetchone()
            if count:
                found[table] = count
    return found


def delete(api: Any, tenant: Any, job: dict[str, Any]) -> Any:
    return api.delete(f"/v1/jobs/{job['id']}", key=tenant.api_key)


def test_an_ended_job_leaves_nothing_behind(api: Any, tenant: Any, role: Any) -> None:
    kept = end(tenant)
    blobs_before = set(Blob.objects.values_list("id", flat=True))
    job = end(tenant)
    own_blobs = set(Blob.objects.values_list("id", flat=True)) - blobs_before
    held = {"expires_at": Now() + timedelta(hours=1)}
    UniqueClaim.objects.create(tenant_id=tenant.id, hash=b"u" * 32, job_id=job_uuid(job), **held)
    Job.objects.filter(id=job_uuid(job)).update(unique_hash=b"u" * 32, unique_while="unfinished")
    ref = try_delivery(role)
    with role("worker"):
        record_deliveries([DeliveryResult(ref=ref, duration_ms=1, status=500, delay_seconds=60)])
    # Payload, metadata, callback address, the error of the first try and the result of the second.
    assert len(own_blobs) == 5
    assert set(traces(job_uuid(job))) >= {"job", "attempt", "event", "delivery", "job_tag", "unique_claim"}
    others = traces(job_uuid(kept))
    answer = delete(api, tenant, job)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer.headers
    assert "Content-Type" not in answer.headers
    assert traces(job_uuid(job)) == {}
    assert not Blob.objects.filter(id__in=own_blobs).exists()
    assert LiveDelivery.objects.count() == 1
    assert traces(job_uuid(kept)) == others
    assert set(Blob.objects.values_list("id", flat=True)) == blobs_before
    problem(api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key), 404, "not-found")
    problem(delete(api, tenant, job), 404, "not-found")


def test_a_try_under_way_is_refused_when_it_comes_back(api: Any, tenant: Any, role: Any) -> None:
    job = end(tenant)
    ref = try_delivery(role)
    assert delete(api, tenant, job).status_code == 204
    with role("worker"):
        report = record_deliveries([DeliveryResult(ref=ref, duration_ms=1, status=200, final_state="delivered")])
    assert report.lost == (ref,)
    assert traces(job_uuid(job)) == {}


def test_a_sealed_value_of_another_job_stays_until_that_is_erased_too(api: Any, tenant: Any) -> None:
    first, second = end(tenant), end(tenant)
    shared = Job.objects.get(id=job_uuid(first)).payload_id
    Job.objects.filter(id=job_uuid(second)).update(payload_id=shared)
    assert delete(api, tenant, first).status_code == 204
    assert Blob.objects.filter(id=shared).exists()
    assert delete(api, tenant, second).status_code == 204
    assert not Blob.objects.filter(id=shared).exists()


def test_kept_answers_stay(api: Any, tenant: Any) -> None:
    job = end(tenant)
    IdempotencyKey.objects.create(
        tenant_id=tenant.id, hash=b"i" * 32, fingerprint=b"f" * 32, status=201, answer_sealed=b"sealed"
    )
    assert delete(api, tenant, job).status_code == 204
    assert IdempotencyKey.objects.count() == 1


def test_a_job_that_is_not_over_is_a_409(api: Any, tenant: Any) -> None:
    for steps in range(4):
        job = make_job(tenant, delay_seconds=0 if steps else 60)
        if steps > 1:
            refs = claim()
        if steps > 2:
            start(refs)
        before = traces(job_uuid(job))
        problem(delete(api, tenant, job), 409, "job-not-terminal")
        assert traces(job_uuid(job)) == before


def test_a_failure_undoes_all_of_it(api: Any, tenant: Any, monkeypatch: Any) -> None:
    job = end(tenant)
    before = traces(job_uuid(job))
    assert before

    run = run_statement

    def fail_at_the_last(path: Path, parameters: Any) -> Any:
        rows = run(path, parameters)
        if path.stem == "erase_blobs":
            raise ZeroDivisionError
        return rows

    monkeypatch.setattr(erase, "run_statement", fail_at_the_last)
    problem(delete(api, tenant, job), 500, "internal")
    assert traces(job_uuid(job)) == before


def test_erasing_needs_a_key_and_its_scope(api: Any, tenant: Any) -> None:
    address = f"/v1/jobs/{end(tenant)['id']}"
    problem(api.delete(address), 401, "unauthenticated")
    problem(api.delete(address, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")


def test_unknown_parameters_are_refused(api: Any, tenant: Any) -> None:
    job = end(tenant)
    answer = api.delete(f"/v1/jobs/{job['id']}?force=1", key=tenant.api_key)
    assert faults(answer) == {("/force", "unknown-parameter")}
    assert traces(job_uuid(job))


def test_another_tenants_job_is_answered_as_an_unknown_one(api: Any, tenant: Any, other_tenant: Any) -> None:
    foreign = end(other_tenant)
    before = traces(job_uuid(foreign))
    unknown = ids.show_id(ids.JOB, UUID(int=new_id().int ^ 1))
    answers = [
        without_request_id(api.delete(f"/v1/jobs/{job}", key=tenant.api_key)) for job in (foreign["id"], unknown)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert traces(job_uuid(foreign)) == before


def test_the_statements_themselves_keep_to_their_tenant(tenant: Any, other_tenant: Any) -> None:
    """As the superuser, whom no policy binds: the filter by tenant is a wall of its own."""
    foreign = end(other_tenant)
    before = traces(job_uuid(foreign))
    with pytest.raises(NotFound):
        erase_job(tenant.id, job_uuid(foreign))
    assert traces(job_uuid(foreign)) == before
