"""What is told to whom: problem documents and log lines hold nothing of what was sent, and no text of an exception."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from structlog.stdlib import ProcessorFormatter

from jobservice.jobs.models import IdempotencyKey, Job
from tenants.api_key_format import new_api_key
from tenants.models import ApiKey
from tests.api.keys import make_key
from tests.factories import Tenant

pytestmark = pytest.mark.django_db
SECRET = "canary-0f3a9c"


@pytest.mark.parametrize(
    "body",
    [
        f'{{"type":"echo","payload":"{SECRET}'.encode(),
        f'{{"type":"echo","payload":"{SECRET}","payload":1}}'.encode(),
        b"\xff" + SECRET.encode(),
        SECRET.encode(),
        {"type": "echo", "payload": SECRET * 100_000},
        {"type": "echo", "priority": SECRET},
        {"type": "echo", "metadata": SECRET * 1000},
        {"type": "echo", "callback_url": f"http://user:{SECRET}@127.0.0.1:9/"},
        {"type": "echo", "callback_url": f"http://10.0.0.1/{SECRET}"},
        {"type": "strict", "payload": SECRET},
        {"type": "http.request", "payload": {"url": "http://127.0.0.1:9/", "headers": {"X-Token": f"{SECRET}\n"}}},
    ],
)
def test_a_refused_body_is_not_quoted(api: Any, tenant: Tenant, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    schema = {"executor": "handler", "handler": "echo", "payload_schema": {"type": "object", "maxProperties": 1}}
    assert api.put("/v1/job-types/strict", schema, key=tenant.api_key).status_code == 201
    with caplog.at_level("DEBUG"):
        answer = api.post("/v1/jobs", body, key=tenant.api_key, Idempotency_Key=f"key-{SECRET}")
    assert 400 <= answer.status_code < 500
    told = answer.content.decode() + str(answer.headers) + caplog.text + str([vars(entry) for entry in caplog.records])
    assert SECRET not in told


def test_a_refused_key_is_not_quoted(api: Any, tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    """Nor one that is right, but is over, lacks the scope, or comes from elsewhere."""
    over = make_key(tenant, "jobs:read")
    ApiKey.objects.filter(lookup_id=over.split("_")[2]).update(revoked_at="2020-01-01T00:00:00Z")
    elsewhere = make_key(tenant, "jobs:read", cidrs=["192.0.2.0/24"])
    keys = [new_api_key().text, f"js_live_{SECRET}", over, elsewhere, make_key(tenant, "audit:read")]
    with caplog.at_level("DEBUG"):
        answers = [api.get("/v1/jobs", key=key) for key in keys]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 403, 403]
    told = "".join(answer.content.decode() + str(answer.headers) for answer in answers) + caplog.text
    assert [key for key in keys if key.rpartition("_")[2] in told] == []


def test_a_librarys_exception_is_logged_by_its_class_alone() -> None:
    """Its text and its frames hold what it was given."""
    try:
        payload = {"secret": SECRET}
        raise ValueError(f"cannot take {payload}")
    except ValueError:
        record = logging.LogRecord("library", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    formatters = [handler.formatter for handler in logging.getLogger().handlers]
    (formatter,) = [formatter for formatter in formatters if isinstance(formatter, ProcessorFormatter)]
    line = formatter.format(record)
    assert "ValueError" in line
    assert "it failed" in line
    assert SECRET not in line
    assert "Traceback" not in line


def test_no_two_tenants_store_the_same_key_alike(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    """Whoever has a dump sees neither who shares a key, nor which of the likely ones it is."""
    body = {"type": "echo", "unique": {"key": "k"}, "concurrency_key": "k"}
    for one in (tenant, other_tenant):
        assert api.post("/v1/jobs", body, key=one.api_key, Idempotency_Key="k").status_code == 201
    hashes = [
        bytes(value or b"")
        for row in (
            *IdempotencyKey.objects.values_list("hash", "fingerprint"),
            *Job.objects.values_list("unique_hash", "concurrency_hash"),
        )
        for value in row
    ]
    assert len(hashes) == len(set(hashes)) == 8
    assert json.dumps(body).encode() not in b"".join(hashes)
