"""Whoever can write to the database moves sealed values about: to another row, column, kind, attempt or tenant. What is
read through the API of the place where one was moved to never shows it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest
from django.db import connection

from jobservice.jobs.completion_token import RunRef, make_token
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, live, outcome_of, record, start

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, slots=True)
class Sealed:
    """A stored value: where it stands, the canary in it, and the address that shows it to whoever may read it."""

    table: str
    column: str
    key: str
    canary: str
    address: str
    is_shown: bool = True

    def read(self) -> bytes:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.column} FROM {self.table} WHERE id = %s", [self.key])
            return bytes(cursor.fetchone()[0])

    def write(self, value: bytes) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {self.table} SET {self.column} = %s WHERE id = %s", [value, self.key])


def canary() -> str:
    return f"canary{secrets.token_hex(8)}"


def values_of_jobs(api: Any, tenant: Tenant) -> list[Sealed]:
    """Every kind of value that a job's life makes, of two jobs: one that completes, one that fails."""
    found: list[Sealed] = []
    for kind in ("completed", "failed"):
        texts = {name: canary() for name in ("payload", "metadata", "progress", "result", "error")}
        job = make_job(tenant, payload=texts["payload"], metadata={"m": texts["metadata"]}, max_attempts=1)
        (started,) = start(claim())
        token = make_token(RunRef(tenant.id, job_uuid(job), live(job).epoch))
        report = {"percent": 5, "message": texts["progress"]}
        assert api.post(f"/v1/completions/{token}/progress", report).status_code == 200
        if kind == "completed":
            record(outcome_of(started, result=f'"{texts["result"]}"'.encode()))
        else:
            record(outcome_of(started, "failed", error_code="handler-error", error_message=texts["error"]))
        address = f"/v1/jobs/{job['id']}?include=payload,metadata,result"
        attempts = f"/v1/jobs/{job['id']}/attempts"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT j.payload_id, j.metadata_id, coalesce(j.result_id, j.error_id), a.progress_id "
                "FROM job j JOIN attempt a ON a.job_id = j.id WHERE j.id = %s",
                [job_uuid(job)],
            )
            payload, metadata, end, progress = cursor.fetchone()
        ended = texts["result" if kind == "completed" else "error"]
        named = {payload: texts["payload"], metadata: texts["metadata"], end: ended}
        found += [Sealed("blob", "sealed", str(key), text, address) for key, text in named.items()]
        found.append(Sealed("blob", "sealed", str(progress), texts["progress"], attempts))
    return found


def values_of_receivers(api: Any, tenant: Tenant) -> list[Sealed]:
    """Addresses and headers of two endpoints and two job types, and the default signing secret."""
    found: list[Sealed] = []
    for number in range(2):
        url, header, typed = canary(), canary(), canary()
        body = {"url": f"http://127.0.0.1:9/{url}", "headers": {"X-Token": header}}
        made = api.post("/v1/webhook-endpoints", body, key=tenant.api_key).json()
        address = f"/v1/webhook-endpoints/{made['id']}"
        key = _newest("webhook_endpoint")
        found.append(Sealed("webhook_endpoint", "url_sealed", key, url, address))
        found.append(Sealed("webhook_endpoint", "headers_sealed", key, header, address, is_shown=False))
        http = {"url": f"http://127.0.0.1:9/{typed}"}
        name = f"type-{number}"
        answer = api.put(f"/v1/job-types/{name}", {"executor": "http", "http": http}, key=tenant.api_key)
        assert answer.status_code == 201
        found.append(Sealed("job_type", "http_sealed", _newest("job_type"), typed, f"/v1/job-types/{name}"))
    secret = api.get("/v1/signing-secrets/default", key=tenant.api_key).json()["secret"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM signing_secret WHERE tenant_id = %s", [tenant.id])
        (key,) = cursor.fetchone()
    text = secret.removeprefix("whsec_")
    return [*found, Sealed("signing_secret", "sealed", key, text, "/v1/signing-secrets/default")]


def _newest(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id::text FROM {table} ORDER BY id DESC LIMIT 1")
        return str(cursor.fetchone()[0])


def shown_at(api: Any, tenant: Tenant, place: Sealed) -> str:
    answer = api.get(place.address, key=tenant.api_key)
    return str(answer.content.decode())


@contextmanager
def moved(value: Sealed, place: Sealed) -> Iterator[None]:
    kept = place.read()
    place.write(value.read())
    yield
    place.write(kept)


@pytest.mark.parametrize("make", [values_of_jobs, values_of_receivers])
def test_a_value_moved_to_another_row_or_column_does_not_open(api: Any, tenant: Tenant, make: Any) -> None:
    stored = make(api, tenant)
    assert {value.canary in shown_at(api, tenant, value) for value in stored if value.is_shown} == {True}
    # Of the same job or endpoint, a value may be shown at the address of another one, too.
    before = {place.address: shown_at(api, tenant, place) for place in stored}
    seen = []
    for value, place in permutations(stored, 2):
        with moved(value, place):
            if shown_at(api, tenant, place).count(value.canary) > before[place.address].count(value.canary):
                seen.append((value, place))
    assert seen == []


@pytest.mark.parametrize("make", [values_of_jobs, values_of_receivers])
def test_a_value_moved_to_another_tenant_does_not_open(
    api: Any, tenant: Tenant, other_tenant: Tenant, make: Any
) -> None:
    theirs, ours = make(api, other_tenant), make(api, tenant)
    seen = []
    for value, place in zip(theirs, ours, strict=True):
        assert (value.table, value.column) == (place.table, place.column)
        with moved(value, place):
            if value.canary in shown_at(api, tenant, place):
                seen.append((value, place))
    assert seen == []


@pytest.mark.parametrize(("wanted", "given"), list(permutations(["payload", "metadata", "result"], 2)))
def test_a_value_of_another_kind_that_a_job_is_pointed_at_does_not_open(
    api: Any, tenant: Tenant, wanted: str, given: str
) -> None:
    texts = {name: canary() for name in ("payload", "metadata", "result")}
    job = make_job(tenant, payload=texts["payload"], metadata={"m": texts["metadata"]})
    record(outcome_of(start(claim())[0], result=f'"{texts["result"]}"'.encode()))
    path = f"/v1/jobs/{job['id']}?include={wanted}"
    assert texts[wanted] in api.get(path, key=tenant.api_key).content.decode()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE job SET {wanted}_id = {given}_id WHERE id = %s", [job_uuid(job)])
    answer = api.get(path, key=tenant.api_key)
    assert texts[given] not in answer.content.decode()
    assert answer.status_code == 500


@pytest.mark.parametrize("is_of_another_tenant", [False, True])
def test_an_answer_kept_under_a_key_opens_under_no_other(
    api: Any, tenant: Tenant, other_tenant: Tenant, is_of_another_tenant: bool
) -> None:
    """By key, and by tenant: an answer in the place of another one is none, and no job is made twice for it."""
    owner = other_tenant if is_of_another_tenant else tenant
    body = {"type": "echo", "payload": 1}
    kept = api.post("/v1/jobs", body, key=owner.api_key, Idempotency_Key="theirs").json()["id"]
    assert api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key="ours").status_code == 201
    with connection.cursor() as cursor:
        cursor.execute("SELECT hash FROM idempotency_key ORDER BY created_at")
        (first,), (second,) = cursor.fetchall()
        cursor.execute(
            "UPDATE idempotency_key SET answer_sealed = (SELECT answer_sealed FROM idempotency_key WHERE hash = %s) "
            "WHERE hash = %s",
            [bytes(first), bytes(second)],
        )
    answer = api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key="ours")
    assert answer.status_code == 500
    assert kept not in answer.content.decode()
