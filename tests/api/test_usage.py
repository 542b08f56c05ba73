"""GET /v1/usage. Who may read it is in tests/security/test_access_matrix.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobservice.jobs.usage import read_usage
from tenants.models import Tenant as TenantRow
from tenants.quotas import DEFAULTS
from tests.api.keys import faults, make_key
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start

pytestmark = pytest.mark.django_db
UNCOUNTED = {"payload_bytes", "requests_per_second", "schedules"}


def usage(api: Any, tenant: Tenant) -> dict[str, dict[str, Any]]:
    answer = api.get("/v1/usage", key=tenant.api_key)
    assert answer.status_code == 200
    return {entry["name"]: entry for entry in answer.json()["data"]}


def test_every_quota_is_there_with_its_limit(api: Any, tenant: Tenant) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"running": 7, "open_jobs": None})
    shown = usage(api, tenant)
    assert list(shown) == list(DEFAULTS)
    assert {name: entry["limit"] for name, entry in shown.items()} == {**DEFAULTS, "running": 7, "open_jobs": None}
    assert {name for name, entry in shown.items() if entry["used"] is None} == UNCOUNTED
    assert all(entry.keys() == {"name", "limit", "used", "resets_at"} for entry in shown.values())


def test_a_tenant_that_has_done_nothing_uses_its_first_key_only(api: Any, tenant: Tenant) -> None:
    used = {name: entry["used"] for name, entry in usage(api, tenant).items() if name not in UNCOUNTED}
    assert used == {**dict.fromkeys(used, 0), "api_keys": 1}


def test_what_is_used_is_told_of_this_tenant_alone(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    make_key(tenant, "jobs:read")
    for queue in ("a", "b", "b"):
        make_job(tenant, queue=queue)
    make_job(other_tenant, queue="c")
    api.put("/v1/job-types/t", {"executor": "http", "http": {"url": "http://127.0.0.1:9/"}}, key=tenant.api_key)
    api.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/"}, key=tenant.api_key)
    started = start(claim(4))
    record(*[outcome_of(one) for one in started if one.tenant_id == tenant.id][:1])
    shown = {name: entry["used"] for name, entry in usage(api, tenant).items()}
    names = ("open_jobs", "jobs_per_day", "running", "queues", "job_types", "webhook_endpoints", "api_keys")
    assert [shown[name] for name in names] == [2, 3, 2, 2, 1, 1, 2]
    assert shown["stored_bytes"] == read_usage(tenant.id).volume.stored_bytes > 3 * 87
    assert usage(api, other_tenant)["open_jobs"]["used"] == 1


def test_only_the_quota_of_a_day_frees_by_itself(api: Any, tenant: Tenant) -> None:
    shown = usage(api, tenant)
    assert [name for name, entry in shown.items() if entry["resets_at"] is not None] == ["jobs_per_day"]
    resets_at = datetime.fromisoformat(shown["jobs_per_day"]["resets_at"])
    assert (resets_at.hour, resets_at.minute, resets_at.second, resets_at.utcoffset()) == (0, 0, 0, UTC.utcoffset(None))
    assert 0 <= (resets_at - datetime.now(UTC)).total_seconds() <= 86_400


def test_unknown_parameters_are_refused(api: Any, tenant: Tenant) -> None:
    assert faults(api.get("/v1/usage?name=queues", key=tenant.api_key)) == {("/name", "unknown-parameter")}
