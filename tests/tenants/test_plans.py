"""`manage.py set_plan`, `list_plans`, `delete_plan` and `set_quota --plan`: which limits hold for a tenant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError, ProgrammingError

from tenants.models import Plan
from tenants.models import Tenant as TenantRow
from tenants.quotas import DEFAULTS
from tests.factories import Tenant
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def read(api: Any, tenant: Tenant) -> tuple[str | None, dict[str, Any]]:
    """The tenant's plan, and its limits that are not the service's, as it reads them."""
    shown = api.get("/v1/tenant", key=tenant.api_key).json()
    return shown["plan"], {name: limit for name, limit in shown["limits"].items() if limit != DEFAULTS[name]}


def test_own_values_go_before_the_plan_and_the_plan_before_the_default(api: Any, tenant: Tenant) -> None:
    assert run("set_plan", "pro", "running=50", "open_jobs=null") == (
        "open_jobs = null\nrunning = 50\n0 tenants are on plan pro.\n"
    )
    assert run("set_quota", tenant.name, "--plan", "pro", "running=7", "queues=9") == (
        "plan = pro\nopen_jobs = null\nqueues = 9\nrunning = 7\n"
    )
    assert read(api, tenant) == ("pro", {"running": 7, "open_jobs": None, "queues": 9})
    run("set_quota", tenant.name, "running=")
    assert read(api, tenant) == ("pro", {"running": 50, "open_jobs": None, "queues": 9})
    run("set_quota", tenant.name, "open_jobs=3", "--no-plan")
    assert read(api, tenant) == (None, {"open_jobs": 3, "queues": 9})


def test_a_change_of_a_plan_holds_for_all_its_tenants_and_for_no_other(
    api: Any, tenant: Tenant, other_tenant: Tenant
) -> None:
    run("set_plan", "pro", "open_jobs=1")
    run("set_quota", other_tenant.name, "open_jobs=2")
    for name in ("acme", "zeta"):
        made = json.loads(run("create_tenant", name, "--json"))
        run("set_quota", made["tenant"], "--plan", "pro")
    run("set_quota", "zeta", "running=3")
    run("set_quota", tenant.name, "--plan", "pro")
    assert "3 tenants are on plan pro" in run("set_plan", "pro", "open_jobs=5", "queues=6")
    found = {row.name: row.quotas for row in TenantRow.objects.all()}
    assert found == {
        tenant.name: {"open_jobs": 5, "queues": 6},
        "acme": {"open_jobs": 5, "queues": 6},
        "zeta": {"open_jobs": 5, "queues": 6, "running": 3},
        other_tenant.name: {"open_jobs": 2},
    }
    run("set_plan", "pro", "queues=")
    assert read(api, tenant) == ("pro", {"open_jobs": 5})


def test_a_plan_refuses_what_goes_beyond_it_and_lets_in_what_fits_after_a_change(api: Any, tenant: Tenant) -> None:
    run("set_plan", "small", "open_jobs=1")
    run("set_quota", tenant.name, "--plan", "small")
    submit = {"type": "echo"}
    assert api.post("/v1/jobs", submit, key=tenant.api_key).status_code == 201
    refusal = api.post("/v1/jobs", submit, key=tenant.api_key)
    assert (refusal.status_code, refusal.json()["limit"]) == (429, 1)
    run("set_plan", "small", "open_jobs=2")
    assert api.post("/v1/jobs", submit, key=tenant.api_key).status_code == 201
    assert api.get("/v1/usage", key=tenant.api_key).json()["data"][0] == {
        "name": "open_jobs",
        "limit": 2,
        "used": 2,
        "resets_at": None,
    }


def test_plans_are_listed_by_name_with_their_tenants(tenant: Tenant) -> None:
    assert run("list_plans") == "There is no plan.\n"
    run("set_plan", "pro", "running=50", "open_jobs=null")
    run("set_plan", "basic")
    run("set_quota", tenant.name, "--plan", "pro")
    assert run("list_plans") == (
        "basic, 0 tenants: all as the service has them\npro, 1 tenant: open_jobs = null, running = 50\n"
    )
    line = run("list_plans", "--json")
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "plans": [
            {"name": "basic", "quotas": {}, "tenants": 0},
            {"name": "pro", "quotas": {"open_jobs": None, "running": 50}, "tenants": 1},
        ]
    }


def test_a_plan_leaves_when_nobody_is_on_it(tenant: Tenant) -> None:
    run("set_plan", "pro", "running=50")
    run("set_quota", tenant.name, "--plan", "pro")
    assert tenant.name in refused("delete_plan", "pro")
    assert Plan.objects.count() == 1
    run("set_quota", tenant.name, "--no-plan")
    assert run("delete_plan", "pro") == "Plan pro is gone.\n"
    assert Plan.objects.count() == 0
    assert "no plan 'pro'" in refused("delete_plan", "pro")


def test_an_erased_tenant_is_on_no_plan(tenant: Tenant) -> None:
    run("set_plan", "pro", "running=50")
    run("set_quota", tenant.name, "--plan", "pro", "queues=9")
    run("erase_tenant", tenant.name, "--yes")
    run("delete_plan", "pro")
    row = TenantRow.objects.get(id=tenant.id)
    assert (row.plan, row.quotas, row.own_quotas) == (None, {}, {})


@pytest.mark.parametrize("name", ["", "Pro", "a b", "x" * 41, "pro\n", "größe"])
def test_a_bad_name_of_a_plan_is_refused(name: str) -> None:
    assert refused("set_plan", name, "running=1") == "A plan's name has 1 to 40 characters of a-z, 0-9 and -."
    assert Plan.objects.count() == 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("speed=9", "'speed' is not a quota"),
        ("running=-1", "running must be a whole number"),
        ("running=1.5", "running must be a whole number"),
        ("running=²", "running must be a whole number"),
        ("running=99999999999999999999", "running must be a whole number"),
        ("running", "running must be a whole number"),
        ("payload_bytes=null", "payload_bytes must be a whole number up to"),
        ("payload_bytes=99999999", "payload_bytes must be a whole number up to"),
    ],
)
def test_a_bad_value_is_refused_and_nothing_is_half_done(tenant: Tenant, wrong: str, sentence: str) -> None:
    run("set_plan", "pro", "running=50")
    for command in (["set_plan", "pro"], ["set_plan", "new"], ["set_quota", tenant.name, "--plan", "pro"]):
        assert sentence in refused(*command, "queues=3", wrong)
    assert list(Plan.objects.values_list("name", "quotas")) == [("pro", {"running": 50})]
    row = TenantRow.objects.get(id=tenant.id)
    assert (row.plan, row.quotas, row.own_quotas) == (None, {}, {})


def test_an_unknown_plan_is_refused_and_nothing_is_half_done(tenant: Tenant) -> None:
    assert refused("set_quota", tenant.name, "--plan", "pro", "running=3") == "There is no plan 'pro'."
    assert "no tenant 'nobody'" in refused("set_quota", "nobody", "--no-plan")
    row = TenantRow.objects.get(id=tenant.id)
    assert (row.plan, row.quotas, row.own_quotas) == (None, {}, {})


def test_plans_are_nobodys_but_the_operators(tenant: Tenant, role: Any) -> None:
    """What the web sees of them for an operator: tests/console/test_operator_wall.py."""
    run("set_plan", "pro")
    for name in ("worker", "dispatcher"):
        with role(name), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            Plan.objects.count()
    with role("web"):
        assert Plan.objects.count() == 0
        for change in (Plan.objects.all().delete, lambda: Plan.objects.update(quotas={})):
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                change()


def test_the_database_keeps_a_plan_that_a_tenant_is_on(tenant: Tenant) -> None:
    run("set_plan", "pro")
    run("set_quota", tenant.name, "--plan", "pro")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM plan")
