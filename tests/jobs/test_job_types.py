"""What a job type's name stands for."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from jobservice.database import violated_constraint
from jobservice.errors import Conflict, Unreadable
from jobservice.jobs import job_types
from jobservice.jobs.http_endpoints import HttpEndpoint, http_endpoint
from jobservice.jobs.job_type_spec import HttpTarget
from jobservice.jobs.job_types import put_job_type, rotate_type_secret
from jobservice.jobs.models import JobType
from jobservice.jobs.selectors import read_default_secret
from jobservice.jobs.type_resolution import ResolvedType, resolve_types
from jobservice.preconditions import PreconditionFailed
from jobservice.webhooks.own_secrets import receiver_secrets

pytestmark = pytest.mark.django_db
HTTP = {"executor": "http", "http": {"url": "https://example.com/?k=canary", "headers": {"X-Key": "canary"}}}
SIGNED = {"executor": "http", "http": {"url": "https://example.com/", "signing": {"own": True}}}


def test_built_in_types_run_where_their_work_is(tenant: Any) -> None:
    assert resolve_types(tenant.id, {"echo"}).get("echo") == ResolvedType("echo", "handler", "echo", "handlers", {})
    assert resolve_types(tenant.id, {"http.request"}).get("http.request") == ResolvedType(
        "http.request", "http", None, "egress", {}
    )


def test_a_type_of_the_tenant_is_resolved_with_its_defaults(tenant: Any, role: Any) -> None:
    with role("web"):
        put_job_type(tenant.id, "mine", {**HTTP, "defaults": {"queue": "mail"}})
        assert resolve_types(tenant.id, {"mine"}).get("mine") == ResolvedType(
            "mine", "http", None, "egress", {"queue": "mail"}
        )


def test_another_tenants_type_is_unknown(tenant: Any, other_tenant: Any, role: Any) -> None:
    with role("web"):
        put_job_type(other_tenant.id, "theirs", HTTP)
    with role("web"):
        assert resolve_types(tenant.id, {"theirs"}).get("theirs") is None


def test_a_worker_opens_where_the_jobs_go(tenant: Any, other_tenant: Any, role: Any) -> None:
    with role("web"):
        put_job_type(tenant.id, "mine", HTTP)
        secret = read_default_secret(tenant.id)["secret"]
    with role("worker"):
        assert http_endpoint(tenant.id, "mine") == HttpEndpoint(
            HttpTarget(HTTP["http"]["url"], {"X-Key": "canary"}),  # type: ignore[index]
            version=1,
            scheme="v1",
            secrets=(str(secret),),
        )
        assert http_endpoint(tenant.id, "echo") is None
    with role("worker"):
        assert http_endpoint(other_tenant.id, "mine") is None


def test_address_and_headers_are_stored_sealed(tenant: Any) -> None:
    put_job_type(tenant.id, "mine", HTTP)
    row = JobType.objects.get(tenant_id=tenant.id, name="mine")
    assert b"canary" not in bytes(row.http_sealed or b"")
    assert b"example.com" not in bytes(row.http_sealed or b"")


def test_a_sealed_address_does_not_open_in_another_row(tenant: Any, role: Any) -> None:
    put_job_type(tenant.id, "mine", HTTP)
    put_job_type(tenant.id, "other", HTTP)
    row = JobType.objects.get(name="mine", tenant_id=tenant.id)
    JobType.objects.filter(name="other", tenant_id=tenant.id).update(http_sealed=row.http_sealed)
    with role("worker"), pytest.raises(Unreadable):
        http_endpoint(tenant.id, "other")


def test_a_call_is_signed_as_the_type_has_it_by_then_when_a_put_takes_its_secret_away_meanwhile(
    tenant: Any, monkeypatch: Any
) -> None:
    put_job_type(tenant.id, "mine", SIGNED)

    def late(*args: Any) -> list[str]:
        monkeypatch.setattr("jobservice.jobs.http_endpoints.receiver_secrets", receiver_secrets)
        put_job_type(tenant.id, "mine", HTTP)
        return receiver_secrets(*args)

    monkeypatch.setattr("jobservice.jobs.http_endpoints.receiver_secrets", late)
    found = http_endpoint(tenant.id, "mine")
    assert found is not None
    assert (found.version, found.secrets) == (2, (read_default_secret(tenant.id)["secret"],))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("executor = 'handler', handler = 'echo', http_sealed = NULL", "job_type_own_secret"),
        ("has_own_secret = false", "job_type_rotated_secret"),
        ("scheme = 'v2'", "job_type_scheme"),
    ],
)
def test_the_database_refuses_what_signs_nothing_or_by_nothing(tenant: Any, change: str, rule: str) -> None:
    put_job_type(tenant.id, "mine", SIGNED)
    rotate_type_secret(tenant.id, "mine", overlap_seconds=0)
    with pytest.raises(IntegrityError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE job_type SET {change} WHERE tenant_id = %s", [tenant.id])
    assert violated_constraint(refused.value) == rule


def test_a_type_changes_its_executor_whole(tenant: Any) -> None:
    put_job_type(tenant.id, "mine", HTTP)
    view, is_new = put_job_type(tenant.id, "mine", {"executor": "handler", "handler": "echo"})
    assert (is_new, view.version, view.executor, view.http, view.handler) == (False, 2, "handler", None, "echo")


def test_a_built_in_name_is_taken(tenant: Any) -> None:
    with pytest.raises(Conflict):
        put_job_type(tenant.id, "echo", HTTP)


def test_a_precondition_sees_the_stored_revision(tenant: Any) -> None:
    seen: list[str | None] = []

    def judge(revision: str | None) -> bool:
        seen.append(revision)
        return revision is None

    view, _ = put_job_type(tenant.id, "mine", HTTP, precondition=judge)
    with pytest.raises(PreconditionFailed):
        put_job_type(tenant.id, "mine", HTTP, precondition=judge)
    assert seen == [None, view.revision]
    assert JobType.objects.get(tenant_id=tenant.id, name="mine").version == 1


def test_the_later_of_two_first_puts_replaces(tenant: Any, monkeypatch: Any) -> None:
    write = job_types._write
    calls = []

    def race(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            write(*args)  # somebody else's PUT comes first
            raise IntegrityError
        return write(*args)

    monkeypatch.setattr(job_types, "_write", race)
    view, is_new = put_job_type(tenant.id, "mine", HTTP)
    assert (is_new, view.version) == (False, 2)
