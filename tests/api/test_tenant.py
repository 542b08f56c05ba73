"""GET /v1/tenant. Who may read it is in tests/security/test_access_matrix.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from api.openapi.document import build_document
from jobservice import ids
from tenants.models import Tenant as TenantRow
from tenants.quotas import DEFAULTS, ENFORCED
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
        "plan": None,
        "limits": {**DEFAULTS, "running": 7, "open_jobs": None},
    }
    assert other_tenant.name not in answer.content.decode()


def test_the_document_and_the_pages_promise_only_limits_that_are_kept() -> None:
    limits = build_document()["components"]["schemas"]["Tenant"]["properties"]["limits"]["properties"]
    promised = {name for name, limit in limits.items() if limit["description"].startswith("Enforced")}
    root = Path(__file__).parents[2]
    # Where a limit is heeded its name is read; a new one must be told of here.
    code = "".join(
        path.read_text() for part in ("api", "jobservice", "tenants") for path in (root / part).rglob("*.py")
    )
    statements = "".join(path.read_text() for path in (root / "jobservice").rglob("*.sql"))
    read = {name for name in DEFAULTS if f"quotas ->> '{name}'" in statements}
    read |= {name for name in DEFAULTS if re.search(rf'limit_of\([a-z_.]+, "{name}"\)', code)}
    assert promised == ENFORCED == read
    page = (root / "docs" / "api.md").read_text()
    told = re.search(r"shows, ([^;]+) are enforced today; ([^;]+) can be set", page)
    assert told is not None
    assert set(re.findall(r"`(\w+)`", told[1])) == ENFORCED
    assert set(re.findall(r"`(\w+)`", told[2])) == DEFAULTS.keys() - ENFORCED


def test_unknown_parameters_are_refused(api: Any, tenant: Any) -> None:
    assert faults(api.get("/v1/tenant?id=x", key=tenant.api_key)) == {("/id", "unknown-parameter")}
