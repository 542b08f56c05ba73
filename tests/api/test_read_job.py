"""GET /v1/jobs/{id}."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from jobservice import ids
from jobservice.jobs.models import LiveJob
from tenants.blobs import insert_blobs, seal_blob
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import make_job

pytestmark = pytest.mark.django_db
PATHS = ["/v1/jobs/{}", "/v1/jobs/{}/attempts", "/v1/jobs/{}/events"]


def job_uuid(job: dict[str, Any]) -> UUID:
    job_id = ids.parse_id(ids.JOB, job["id"])
    assert job_id is not None
    return job_id


def test_a_job_is_shown_without_its_sealed_parts(api: Any, tenant: Any) -> None:
    job = make_job(tenant, payload={"secret": 1})
    answer = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key)
    assert answer.status_code == 200
    assert {**answer.json(), "waiting": None} == job
    assert answer.json()["waiting"]["reason"] == "no-worker"
    assert "payload" not in answer.json()


def test_head_answers_as_get_does_without_a_body(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    answer = api.call("HEAD", f"/v1/jobs/{job['id']}", None, tenant.api_key, {})
    assert (answer.status_code, answer.content) == (200, b"")


def test_parts_need_their_own_scope(api: Any, tenant: Any) -> None:
    job = make_job(tenant, payload=[1, 2])
    key = make_key(tenant, "jobs:read")
    assert api.get(f"/v1/jobs/{job['id']}", key=key).status_code == 200
    answer = api.get(f"/v1/jobs/{job['id']}?include=payload", key=key)
    assert "payloads:read" in problem(answer, 403, "insufficient-scope")["detail"]


def test_only_the_parts_asked_for_are_shown(api: Any, tenant: Any) -> None:
    job = make_job(tenant, payload=[1, 2], metadata={"m": 1})
    answer = api.get(f"/v1/jobs/{job['id']}?include=metadata", key=tenant.api_key).json()
    assert answer == {**job, "metadata": {"m": 1}, "waiting": answer["waiting"]}


@pytest.mark.parametrize("query", ["include=payload,metadata", "include=payload&include=metadata"])
def test_parts_are_separated_by_commas_or_named_each(api: Any, tenant: Any, query: str) -> None:
    job = make_job(tenant, payload=[1, 2], metadata={"m": 1})
    answer = api.get(f"/v1/jobs/{job['id']}?{query}", key=tenant.api_key).json()
    assert (answer["payload"], answer["metadata"], "result" in answer) == ([1, 2], {"m": 1}, False)


def test_an_unknown_part_is_a_fault(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    answer = api.get(f"/v1/jobs/{job['id']}?include=payload,secret", key=tenant.api_key)
    assert faults(answer) == {("/include", "out-of-range")}


def test_the_error_of_a_waiting_job_is_opened(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    error = seal_blob(tenant.id, kind="error", plaintext="It broke: ü".encode(), epoch=3)
    insert_blobs([error])
    LiveJob.objects.filter(job_id=job_uuid(job)).update(
        state="retryable", attempt=1, error_code="handler-error", error_id=error.id, error_epoch=3
    )
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert shown["error"] == {"code": "handler-error", "message": "It broke: ü"}
    assert shown["state"] == "retryable"


def test_an_error_moved_from_another_claim_is_not_shown(api: Any, tenant: Any) -> None:
    job = make_job(tenant)
    error = seal_blob(tenant.id, kind="error", plaintext=b"of epoch 2", epoch=2)
    insert_blobs([error])
    LiveJob.objects.filter(job_id=job_uuid(job)).update(error_code="handler-error", error_id=error.id, error_epoch=3)
    shown = api.get(f"/v1/jobs/{job['id']}", key=tenant.api_key).json()
    assert shown["error"] == {"code": "handler-error", "message": None}


@pytest.mark.parametrize("path", PATHS)
def test_another_tenants_job_is_answered_as_an_unknown_one(api: Any, tenant: Any, other_tenant: Any, path: str) -> None:
    foreign = make_job(other_tenant)["id"]
    unknown = ids.show_id(ids.JOB, UUID(int=ids.new_id().int ^ 1))
    answers = [without_request_id(api.get(path.format(job), key=tenant.api_key)) for job in (foreign, unknown)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "text", ["x", "job_", "evt_01h455vb4pex5vsknk084sn02q", "job_%00", "%C3%28", "job_" + "z" * 26]
)
def test_what_is_no_id_is_not_found(api: Any, tenant: Any, path: str, text: str) -> None:
    problem(api.get(path.format(text), key=tenant.api_key), 404, "not-found")


@pytest.mark.parametrize("path", PATHS)
def test_reading_needs_a_key_and_its_scope(api: Any, tenant: Any, path: str) -> None:
    address = path.format(make_job(tenant)["id"])
    problem(api.get(address), 401, "unauthenticated")
    problem(api.get(address, key=make_key(tenant, "jobs:write")), 403, "insufficient-scope")


@pytest.mark.parametrize("path", PATHS)
def test_reading_twice_answers_the_same(api: Any, tenant: Any, path: str) -> None:
    address = path.format(make_job(tenant)["id"])
    first, second = (api.get(address, key=tenant.api_key).content for _ in range(2))
    assert first == second


@pytest.mark.parametrize("path", PATHS)
def test_unknown_parameters_are_refused(api: Any, tenant: Any, path: str) -> None:
    address = path.format(make_job(tenant)["id"])
    assert faults(api.get(f"{address}?format=xml", key=tenant.api_key)) == {("/format", "unknown-parameter")}
