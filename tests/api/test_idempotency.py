"""The Idempotency-Key header of every POST that creates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs.idempotency import prune_idempotency_keys
from jobservice.jobs.models import IdempotencyKey, Job
from tests.api.keys import faults, make_key, problem

pytestmark = pytest.mark.django_db
BODY = {"type": "echo", "payload": {"a": 1, "b": [1.5, None]}}
BULK = {"mode": "partial", "jobs": [BODY, {"type": "nobody.knows"}]}


@pytest.mark.parametrize(("path", "body"), [("/v1/jobs", BODY), ("/v1/jobs/bulk", BULK)])
def test_the_same_request_again_gets_the_first_answer_byte_for_byte(
    api: Any, tenant: Any, path: str, body: Any
) -> None:
    first, second = (api.post(path, body, key=tenant.api_key, Idempotency_Key="k-1") for _ in range(2))
    assert first.status_code == second.status_code
    assert first.status_code in (200, 201)
    assert first.content == second.content
    assert first.headers.get("Location") == second.headers.get("Location")
    assert first.headers["Content-Type"] == second.headers["Content-Type"] == "application/json"
    assert ("Idempotent-Replayed" in first.headers, second.headers["Idempotent-Replayed"]) == (False, "true")
    assert Job.objects.filter(tenant_id=tenant.id).count() == 1


def test_an_answer_under_a_key_is_the_same_as_one_without(api: Any, tenant: Any) -> None:
    plain, kept = (api.post("/v1/jobs", BODY, key=tenant.api_key, **extra) for extra in ({}, {"Idempotency_Key": "k"}))
    assert set(plain.headers) == set(kept.headers)
    assert set(plain.json()) == set(kept.json())


def test_a_body_written_differently_is_the_same_body(api: Any, tenant: Any) -> None:
    texts = (b'{"type":"echo","payload":{"a":1,"b":2}}', b'{ "payload": {"b":2, "a":1},\n "type": "\\u0065cho" }')
    first, second = (api.post("/v1/jobs", text, key=tenant.api_key, Idempotency_Key="k") for text in texts)
    assert first.content == second.content


def test_another_body_under_the_same_key_is_refused(api: Any, tenant: Any) -> None:
    api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k")
    answer = api.post("/v1/jobs", {**BODY, "priority": 1}, key=tenant.api_key, Idempotency_Key="k")
    problem(answer, 422, "idempotency-key-reused")
    assert Job.objects.filter(tenant_id=tenant.id).count() == 1


def test_the_quoted_and_the_bare_form_are_one_key(api: Any, tenant: Any) -> None:
    first, second = (api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key=k) for k in ('"k 1"', "k 1"))
    assert first.content == second.content


@pytest.mark.parametrize("key", ["", '""', "ü", "a" * 256, "a\tb", '"', '"open'])
def test_a_key_that_is_none_is_refused(api: Any, tenant: Any, key: str) -> None:
    answer = api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key=key)
    assert faults(answer) == {("", "bad-format")}
    assert not Job.objects.filter(tenant_id=tenant.id).exists()


def test_a_refused_request_keeps_nothing(api: Any, tenant: Any) -> None:
    for _ in range(2):
        answer = api.post("/v1/jobs", {"type": "nobody.knows"}, key=tenant.api_key, Idempotency_Key="k")
        problem(answer, 422, "unknown-job-type")
    assert not IdempotencyKey.objects.filter(tenant_id=tenant.id).exists()
    assert api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k").status_code == 201


def test_a_failure_after_the_job_was_stored_undoes_both(api: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("api.idempotency.keep_answer", fail)
        problem(api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k"), 500, "internal")
    assert not Job.objects.filter(tenant_id=tenant.id).exists()
    assert api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k").status_code == 201


def test_tenants_and_operations_have_keys_of_their_own(api: Any, tenant: Any, other_tenant: Any) -> None:
    one = api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k")
    other = api.post("/v1/jobs", BODY, key=other_tenant.api_key, Idempotency_Key="k")
    bulk = api.post("/v1/jobs/bulk", BULK, key=tenant.api_key, Idempotency_Key="k")
    assert one.json()["id"] != other.json()["id"]
    assert bulk.status_code == 200
    assert "Idempotent-Replayed" not in bulk.headers


def test_a_replay_asks_for_the_same_rights(api: Any, tenant: Any) -> None:
    api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k")
    answer = api.post("/v1/jobs", BODY, key=make_key(tenant, "jobs:read"), Idempotency_Key="k")
    problem(answer, 403, "insufficient-scope")


@pytest.mark.parametrize(("path", "body"), [("/v1/jobs", BODY), ("/v1/jobs/bulk", BULK)])
def test_a_key_of_less_reach_is_not_told_what_another_was(api: Any, tenant: Any, path: str, body: Any) -> None:
    assert api.post(path, body, key=tenant.api_key, Idempotency_Key="k").status_code in (200, 201)
    answer = api.post(path, body, key=make_key(tenant, "jobs:write", queues=["open"]), Idempotency_Key="k")
    assert "Idempotent-Replayed" not in answer.headers
    assert b"job_" not in answer.content


def test_nothing_of_the_key_the_body_or_the_answer_is_stored_in_the_clear(api: Any, tenant: Any) -> None:
    answer = api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="my-canary-key")
    row = IdempotencyKey.objects.get(tenant_id=tenant.id)
    stored = b"".join(bytes(part) for part in (row.hash, row.fingerprint, row.answer_sealed))
    for text in ("canary", "echo", answer.json()["id"]):
        assert text.encode() not in stored


def test_after_a_day_the_key_may_be_used_anew(api: Any, tenant: Any) -> None:
    first = api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key="k")
    IdempotencyKey.objects.filter(tenant_id=tenant.id).update(created_at=Now() - timedelta(hours=24))
    second = api.post("/v1/jobs", {**BODY, "priority": 3}, key=tenant.api_key, Idempotency_Key="k")
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    again = api.post("/v1/jobs", {**BODY, "priority": 3}, key=tenant.api_key, Idempotency_Key="k")
    assert again.content == second.content


def test_keys_past_their_day_are_pruned_and_no_others(api: Any, tenant: Any, role: Any) -> None:
    for name in ("old", "new"):
        api.post("/v1/jobs", BODY, key=tenant.api_key, Idempotency_Key=name)
    old = IdempotencyKey.objects.filter(tenant_id=tenant.id).order_by("created_at").first()
    assert old is not None
    IdempotencyKey.objects.filter(hash=old.hash).update(created_at=Now() - timedelta(hours=25))
    with role("dispatcher"):
        assert prune_idempotency_keys() == 1
    assert IdempotencyKey.objects.filter(tenant_id=tenant.id).count() == 1
