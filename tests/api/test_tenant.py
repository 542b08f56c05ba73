"""GET /v1/tenant. Who may read it is in tests/security/test_access_matrix.py."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice import ids
from tenants.models import Tenant as TenantRow
from tenants.quotas import DEFAULTS
from tests.api.keys import faults

pytestmark = pytest.mark.django_db


def test_a_tenant_reads_who_it_is_and_its_limits(api: Any, tenant: Any, other_tenant: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(weight=3, quotas={"running": 7, "open_jobs": None})
    answer = api.get("/v1/tenant", key=tenant.api_key)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": ids.show_id(ids.TENANT, tenant.id),
        "name": tenant.name,
        "status": "active",
        "weight": 3,
        "limits": {**DEFAULTS, "running": 7, "open_jobs": None},
    }
    assert other_tenant.name not in answer.content.decode()


def test_unknown_parameters_are_refused(api: Any, tenant: Any) -> None:
    assert faults(api.get("/v1/tenant?id=x", key=tenant.api_key)) == {("/id", "unknown-parameter")}
