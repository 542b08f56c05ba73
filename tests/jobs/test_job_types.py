"""What a job type's name stands for."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError

from jobservice.errors import Conflict, Unreadable
from jobservice.jobs import job_types
from jobservice.jobs.job_type_spec import HttpTarget
from jobservice.jobs.job_types import (
    PreconditionFailed,
    ResolvedType,
    http_target,
    put_job_type,
    resolve_types,
)
from jobservice.jobs.models import JobType

pytestmark = pytest.mark.django_db
HTTP = {"executor": "http", "http": {"url": "https://example.com/?k=canary", "headers": {"X-Key": "canary"}}}


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
    with role("worker"):
        assert http_target(tenant.id, "mine") == HttpTarget(HTTP["http"]["url"], {"X-Key": "canary"})  # type: ignore[index]
        assert http_target(tenant.id, "echo") is None
    with role("worker"):
        assert http_target(other_tenant.id, "mine") is None


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
        http_target(tenant.id, "other")


def test_a_type_changes_its_executor_whole(tenant: Any) -> None:
    put_job_type(tenant.id, "mine", HTTP)
    view, is_new = put_job_type(tenant.id, "mine", {"executor": "handler", "handler": "echo"})
    assert (is_new, view.version, view.executor, view.http, view.handler) == (False, 2, "handler", None, "echo")


def test_a_built_in_name_is_taken(tenant: Any) -> None:
    with pytest.raises(Conflict):
        put_job_type(tenant.id, "echo", HTTP)


def test_a_precondition_sees_the_stored_version(tenant: Any) -> None:
    seen: list[int | None] = []

    def judge(version: int | None) -> bool:
        seen.append(version)
        return version is None

    put_job_type(tenant.id, "mine", HTTP, precondition=judge)
    with pytest.raises(PreconditionFailed):
        put_job_type(tenant.id, "mine", HTTP, precondition=judge)
    assert seen == [None, 1]
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
