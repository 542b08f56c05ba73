"""The operator's commands: what they print, and the sentence and exit code when something is wrong."""

from __future__ import annotations

import json

import pytest

from tenants.api_keys import authenticate
from tenants.models import ApiKey, AuditEvent, Tenant
from tests.tenants.commands import refused, run

pytestmark = pytest.mark.django_db


def test_a_new_tenant_is_one_line_of_json_with_a_key_that_works() -> None:
    line = run("create_tenant", "acme", "--json")
    made = json.loads(line)
    assert line.count("\n") == 1
    assert set(made) == {"tenant", "name", "api_key"}
    credential = authenticate(made["api_key"])
    assert credential is not None
    assert (credential.tenant_name, credential.tenant_status) == ("acme", "active")


def test_a_name_in_use_and_an_empty_one_are_refused_and_leave_nothing() -> None:
    run("create_tenant", "acme")
    assert "acme" in refused("create_tenant", "acme")
    assert "1 to 100" in refused("create_tenant", "")
    assert Tenant.objects.count() == 1


def test_a_key_gets_the_scopes_it_was_made_with() -> None:
    run("create_tenant", "acme")
    made = json.loads(run("create_api_key", "acme", "--scopes", "jobs:read,jobs:write", "--json"))
    credential = authenticate(made["api_key"])
    assert credential is not None
    assert credential.scopes == {"jobs:read", "jobs:write"}
    assert "jobs:fly" in refused("create_api_key", "acme", "--scopes", "jobs:fly")
    assert "nobody" in refused("create_api_key", "nobody", "--scopes", "jobs:read")


def test_a_tenant_is_found_by_its_id_too() -> None:
    made = json.loads(run("create_tenant", "acme", "--json"))
    assert "acme is suspended" in run("suspend_tenant", made["tenant"])
    assert Tenant.objects.get().status == "suspended"
    run("resume_tenant", "acme")
    assert Tenant.objects.get().status == "active"


def test_why_a_tenant_is_suspended_stands_in_its_log() -> None:
    run("create_tenant", "acme")
    run("suspend_tenant", "acme", "--reason", "unpaid")
    run("resume_tenant", "acme")
    assert "1 to 200" in refused("suspend_tenant", "acme", "--reason", " ")
    *_, suspended, resumed = AuditEvent.objects.order_by("seq")
    assert (suspended.action, suspended.after) == ("tenant.suspended", '{"reason":"unpaid"}')
    assert (resumed.action, resumed.after) == ("tenant.resumed", None)


def test_quotas_are_changed_one_by_one_and_checked() -> None:
    run("create_tenant", "acme")
    run("set_quota", "acme", "running=5", "jobs_per_day=null")
    assert run("set_quota", "acme", "running=7") == "jobs_per_day = null\nrunning = 7\n"
    assert "not a quota" in refused("set_quota", "acme", "speed=9")
    assert "whole number" in refused("set_quota", "acme", "running=-1")


def test_a_weight_is_set_and_checked() -> None:
    run("create_tenant", "acme")
    assert run("set_weight", "acme", "3") == "Tenant acme has the weight 3.\n"
    assert Tenant.objects.get().weight == 3
    for wrong in ("0", "1001", "-1", "two", "1.5"):
        assert "from 1 to 1000" in refused("set_weight", "acme", wrong)
    assert "nobody" in refused("set_weight", "nobody", "3")
    assert Tenant.objects.get().weight == 3


def test_a_key_that_was_altered_expired_or_revoked_is_nobody() -> None:
    key = json.loads(run("create_tenant", "acme", "--json"))["api_key"]
    assert authenticate(key[:-1] + ("a" if key[-1] != "a" else "b")) is None
    ApiKey.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert authenticate(key) is None
    ApiKey.objects.update(expires_at=None, revoked_at="2020-01-01T00:00:00Z")
    assert authenticate(key) is None
    ApiKey.objects.update(revoked_at=None)
    assert authenticate(key) is not None


def test_a_dump_of_the_key_table_holds_no_key() -> None:
    key = json.loads(run("create_tenant", "acme", "--json"))["api_key"]
    row = ApiKey.objects.get()
    secret = key.split("_")[3]
    assert secret not in f"{row.lookup_id}{bytes(row.secret_hash)!r}{bytes(row.secret_hash).hex()}"
    assert authenticate(f"js_live_{row.lookup_id}_{bytes(row.secret_hash).hex()[:43]}000000") is None
