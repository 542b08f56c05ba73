"""DELETE /v1/job-types/{name}."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.jobs.models import LiveJob
from tests.api.keys import faults, problem, without_request_id
from tests.api.test_job_types import HTTP, delete, put

pytestmark = pytest.mark.django_db


def test_a_type_is_deleted(api: Any, tenant: Any) -> None:
    api.put("/v1/job-types/mine", HTTP, key=tenant.api_key)
    answer = delete(api, "mine", key=tenant.api_key)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.get("/v1/job-types/mine", key=tenant.api_key), 404, "not-found")
    problem(delete(api, "mine", key=tenant.api_key), 404, "not-found")


def test_another_tenants_type_is_not_deleted(api: Any, tenant: Any, other_tenant: Any) -> None:
    api.put("/v1/job-types/theirs", HTTP, key=other_tenant.api_key)
    foreign, unknown = (without_request_id(delete(api, name, key=tenant.api_key)) for name in ("theirs", "nobodys"))
    assert foreign == unknown
    assert foreign[0] == 404
    assert api.get("/v1/job-types/theirs", key=other_tenant.api_key).status_code == 200


@pytest.mark.parametrize("name", ["echo", "http.request"])
def test_a_built_in_type_is_not_deleted(api: Any, tenant: Any, name: str) -> None:
    problem(delete(api, name, key=tenant.api_key), 409, "conflict")


@pytest.mark.parametrize("name", ["Upper", "a" * 101, "a%00"])
def test_a_name_out_of_form_is_not_there_to_delete(api: Any, tenant: Any, name: str) -> None:
    problem(delete(api, name, key=tenant.api_key), 404, "not-found")


def test_if_match_protects_from_deleting_what_changed(api: Any, tenant: Any) -> None:
    old, new = (put(api, tenant).headers["ETag"] for _ in range(2))
    problem(delete(api, "mine", key=tenant.api_key, If_Match=old), 412, "precondition-failed")
    assert delete(api, "mine", key=tenant.api_key, If_Match=new).status_code == 204


def test_a_type_with_unfinished_jobs_stays(api: Any, tenant: Any) -> None:
    api.put("/v1/job-types/mine", HTTP, key=tenant.api_key)
    for _ in range(2):
        api.post("/v1/jobs", {"type": "mine"}, key=tenant.api_key)
    document = problem(delete(api, "mine", key=tenant.api_key), 409, "conflict")
    assert "2 unfinished jobs" in document["detail"]
    LiveJob.objects.filter(tenant_id=tenant.id).delete()
    assert delete(api, "mine", key=tenant.api_key).status_code == 204


def test_unknown_parameters_of_a_delete_are_refused(api: Any, tenant: Any) -> None:
    answer = api.call("DELETE", "/v1/job-types/mine?force=true", None, tenant.api_key, {})
    assert faults(answer) == {("/force", "unknown-parameter")}
