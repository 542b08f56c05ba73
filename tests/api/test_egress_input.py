"""URLs and headers that a tenant hands in for us to send: what could bend a request is refused at the door."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice.jobs.models import Job, JobType, LiveJob
from tests.api.keys import problem
from tests.factories import Tenant

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:9/work"
BAD_HEADERS = [
    {"X-A": "1\r\nX-B: 2"},
    {"X-A": "1\nX-B: 2"},
    {"X-A": "1\r"},
    {"X-A": "1\x00"},
    {"X-A": "\u010a"},
    {"X-A": "é"},
    {"X-A\r\nX-B": "1"},
    {"X A": "1"},
    {"X-A:": "1"},
    {"": "1"},
    {"X-A": "1", "x-a": "2"},
    {"X-A": "1", "X_A": "2"},
    *(
        {name: "1"}
        for name in (
            *(
                "Host",
                "content-length",
                "Content_Length",
                "Transfer-Encoding",
                "TE",
                "Trailer",
                "Connection",
                "Upgrade",
            ),
            *("Keep-Alive", "Expect", "HTTP2-Settings", "Proxy-Authorization", "Proxy-Connection", "Webhook-Id"),
            *("webhook_signature", "webhook-timestamp", "Job-Via"),
        )
    ),
]
BAD_URLS = [
    "http://127.0.0.1:9/\r\nX-B: 1",
    "http://127.0.0.1:9/\nX",
    "http://127.0.0.1:9/\u2028",
    "http://127.0.0.1\r\n:9/",
    "http://127.0.0.1:9\\@example.com/",
    "http://user:word@127.0.0.1:9/",
    "http://127.0.0.1:9/#x",
    "http://127.1:9/",
    "http://2130706433:9/",
    "http://0x7f.1:9/",
    "http://0177.0.0.1:9/",
    "http://①②⑦.0.0.1:9/",
    "http://\u0661\u0662\u0667.\u0660.\u0660.\u0661:9/",
    "http://[::ffff:127.0.0.1]:9/",
    "http://[::1%25lo]:9/",
    "http://169.254.169.254/latest",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://10.0.0.1/",
    "gopher://127.0.0.1:9/",
    "file:///etc/passwd",
    # The API's own address in the tests' settings.
    "http://127.0.0.1:8000/v1/jobs",
    "http://localhost:8000/",
    "http://LOCALHOST.:8000/",
    "http://x.localhost:8000/",
    "http://127.9.9.9:8000/",
    "http://[::1]:8000/",
]


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=repr)
def test_no_header_that_bends_a_request_is_taken(api: Any, tenant: Tenant, headers: dict[str, str]) -> None:
    body = {"executor": "http", "http": {"url": URL, "headers": headers}}
    problem(api.put("/v1/job-types/mine", body, key=tenant.api_key), 422, "invalid")
    job = {"type": "http.request", "payload": {"url": URL, "headers": headers}}
    problem(api.post("/v1/jobs", job, key=tenant.api_key), 422, "invalid")
    assert not JobType.objects.exists()
    assert not LiveJob.objects.exists()


@pytest.mark.parametrize("url", BAD_URLS, ids=repr)
def test_no_url_that_bends_a_request_or_leads_inside_is_taken(api: Any, tenant: Tenant, url: str) -> None:
    body = {"executor": "http", "http": {"url": url}}
    problem(api.put("/v1/job-types/mine", body, key=tenant.api_key), 422, "egress-refused")
    job = {"type": "http.request", "payload": {"url": url}}
    problem(api.post("/v1/jobs", job, key=tenant.api_key), 422, "egress-refused")
    called = {"type": "echo", "payload": 1, "callback_url": url}
    problem(api.post("/v1/jobs", called, key=tenant.api_key), 422, "egress-refused")
    assert not JobType.objects.exists()
    assert not LiveJob.objects.exists()


@pytest.mark.parametrize("trace", ["x", "00-1-2-3", "00-" + "1" * 32 + "-" + "2" * 16 + "-01 ", "é", "a\tb"])
def test_a_malformed_trace_goes_no_further(api: Any, tenant: Tenant, trace: str) -> None:
    assert api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key, traceparent=trace).status_code == 201
    assert Job.objects.get().traceparent in (None, trace.strip() if len(trace) == 56 else None)
