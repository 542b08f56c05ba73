"""The quotas `open_jobs`, `jobs_per_day` and `stored_bytes`, as a client meets them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobservice.jobs.models import Job
from jobservice.jobs.usage import read_usage
from jobservice.webhooks.models import Event
from tenants.models import Tenant as TenantRow
from tests.api.keys import faults, problem
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start

pytestmark = pytest.mark.django_db


def limit(tenant: Tenant, **quotas: int | None) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas=quotas)


def submit(api: Any, tenant: Tenant, **fields: Any) -> Any:
    return api.post("/v1/jobs", {"type": "echo", **fields}, key=tenant.api_key)


def submit_all(api: Any, tenant: Tenant, mode: str, jobs: list[dict[str, Any]]) -> Any:
    return api.post(
        "/v1/jobs/bulk", {"mode": mode, "jobs": [{"type": "echo", **job} for job in jobs]}, key=tenant.api_key
    )


def stored(tenant: Tenant) -> int:
    return Job.objects.filter(tenant_id=tenant.id).count()


def test_a_job_too_many_is_refused_until_one_is_over(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    limit(tenant, open_jobs=2)
    for _ in range(2):
        assert submit(api, tenant).status_code == 201
    answer = submit(api, tenant)
    refused = problem(answer, 429, "quota-exceeded")
    named = {name: refused[name] for name in ("violated_policies", "limit", "used", "resets_at")}
    assert named == {"violated_policies": ["open_jobs"], "limit": 2, "used": 2, "resets_at": None}
    assert "errors" not in refused
    # When it frees is not known.
    assert "Retry-After" not in answer.headers
    assert stored(tenant) == 2
    assert submit(api, other_tenant).status_code == 201
    record(*[outcome_of(one) for one in start(claim(1))])
    assert submit(api, tenant).status_code == 201


def test_the_jobs_of_a_day_free_at_midnight(api: Any, tenant: Tenant) -> None:
    limit(tenant, jobs_per_day=1)
    assert submit(api, tenant).status_code == 201
    answer = submit(api, tenant)
    refused = problem(answer, 429, "quota-exceeded")
    assert (refused["violated_policies"], refused["limit"], refused["used"]) == (["jobs_per_day"], 1, 1)
    now = datetime.now(UTC)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    assert datetime.fromisoformat(refused["resets_at"]) in (midnight, midnight - timedelta(days=1))
    assert 1 <= int(answer.headers["Retry-After"]) <= 86_400


def test_bytes_free_when_a_job_is_erased(api: Any, tenant: Tenant) -> None:
    job = submit(api, tenant, payload="x" * 2000, metadata={"m": 1}).json()
    record(*[outcome_of(one) for one in start(claim())])
    limit(tenant, stored_bytes=3000)
    refused = problem(submit(api, tenant, payload="x" * 2000), 429, "quota-exceeded")
    assert (refused["violated_policies"], refused["limit"]) == (["stored_bytes"], 3000)
    assert refused["used"] == read_usage(tenant.id).volume.stored_bytes > 2000
    assert api.delete(f"/v1/jobs/{job['id']}", key=tenant.api_key).status_code == 204
    assert submit(api, tenant, payload="x" * 2000).status_code == 201


def test_an_atomic_group_that_does_not_fit_stores_nothing_and_names_the_first_beyond(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=3)
    submit(api, tenant)
    answer = submit_all(api, tenant, "atomic", [{}] * 4)
    assert faults(answer) == {("/jobs/2", "quota-exceeded"), ("/jobs/3", "quota-exceeded")}
    assert stored(tenant) == 1
    assert submit_all(api, tenant, "atomic", [{}] * 2).status_code == 200


def test_of_a_partial_group_the_first_that_fit_are_accepted(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=3)
    submit(api, tenant)
    answer = submit_all(api, tenant, "partial", [{"payload": number} for number in range(4)])
    entries = answer.json()["data"]
    assert [entry["status"] for entry in entries] == [201, 201, 429, 429]
    refused = entries[2]["problem"]
    assert (refused["code"], refused["violated_policies"]) == ("quota-exceeded", ["open_jobs"])
    assert (refused["limit"], refused["used"]) == (3, 3)
    assert "errors" not in refused
    assert stored(tenant) == read_usage(tenant.id).volume.open_jobs == 3
    assert [entry["status"] for entry in submit_all(api, tenant, "partial", [{}]).json()["data"]] == [429]


def test_of_a_partial_group_a_small_job_fits_after_a_large_one_that_does_not(api: Any, tenant: Tenant) -> None:
    limit(tenant, stored_bytes=2000)
    jobs = [{"payload": "x"}, {"payload": "x" * 5000}, {"payload": "x"}]
    entries = submit_all(api, tenant, "partial", jobs).json()["data"]
    assert [entry["status"] for entry in entries] == [201, 429, 201]


def test_twins_in_a_partial_group_take_one_place_or_are_refused_with_the_first(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=1)
    jobs = [{"unique": {"key": key}} for key in ("a", "b", "a", "b")]
    entries = submit_all(api, tenant, "partial", jobs).json()["data"]
    assert [entry["status"] for entry in entries] == [201, 429, 200, 429]
    assert stored(tenant) == 1


def test_any_number_of_twins_is_refused_with_the_first(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=0)
    entries = submit_all(api, tenant, "partial", [{"unique": {"key": "a"}}] * 20).json()["data"]
    assert [entry["status"] for entry in entries] == [429] * 20


def test_a_refused_job_frees_its_unique_key_and_what_it_would_have_replaced_goes_on(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=None, jobs_per_day=1)
    first = submit(api, tenant, unique={"key": "k"}).json()
    problem(submit(api, tenant, unique={"key": "k", "on_conflict": "replace"}), 429, "quota-exceeded")
    problem(submit(api, tenant, unique={"key": "other"}), 429, "quota-exceeded")
    assert api.get(f"/v1/jobs/{first['id']}", key=tenant.api_key).json()["state"] == "available"
    limit(tenant)
    assert submit(api, tenant, unique={"key": "other"}).status_code == 201


def test_a_refused_submission_is_tried_anew_under_its_idempotency_key(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=1)
    job = submit(api, tenant).json()
    again = {"key": tenant.api_key, "Idempotency_Key": "k"}
    problem(api.post("/v1/jobs", {"type": "echo"}, **again), 429, "quota-exceeded")
    entries = api.post(
        "/v1/jobs/bulk", {"mode": "partial", "jobs": [{"type": "echo"}]}, **{**again, "Idempotency_Key": "b"}
    )
    assert [entry["status"] for entry in entries.json()["data"]] == [429]
    assert stored(tenant) == 1
    api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key)
    assert api.post("/v1/jobs", {"type": "echo"}, **again).status_code == 201


def test_a_retry_too_many_is_refused_and_changes_nothing(api: Any, tenant: Tenant) -> None:
    job = make_job(tenant)
    record(*[outcome_of(one) for one in start(claim())])
    limit(tenant, open_jobs=1)
    submit(api, tenant)
    refused = problem(api.post(f"/v1/jobs/{job['id']}/retry", key=tenant.api_key), 429, "quota-exceeded")
    assert (refused["violated_policies"], refused["limit"], refused["used"]) == (["open_jobs"], 1, 1)
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert shown["state"] == "completed"
    assert list(Event.objects.values_list("type", flat=True)) == ["job.completed"]


def test_no_limit_is_no_limit_and_the_default_is_a_hundred_thousand(api: Any, tenant: Tenant) -> None:
    limit(tenant, open_jobs=None, jobs_per_day=None, stored_bytes=None)
    assert submit_all(api, tenant, "atomic", [{}] * 50).status_code == 200
    assert read_usage(tenant.id).volume.open_jobs == 50
    assert api.get("/v1/tenant", key=tenant.api_key).json()["limits"]["open_jobs"] is None
    limit(tenant)
    assert api.get("/v1/tenant", key=tenant.api_key).json()["limits"]["open_jobs"] == 100_000
