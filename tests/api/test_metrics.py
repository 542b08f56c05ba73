"""GET /metrics: who may read it, what it holds, and what it never holds."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from jobservice.jobs import store
from jobservice.meters import count_event
from jobservice.metrics import METRICS
from jobservice.metrics_access import is_local, is_token
from tests.api.keys import problem
from tests.factories import Tenant
from tests.metering import Moment, parse_metrics

pytestmark = pytest.mark.django_db

TOKEN = "a-metrics-token-0123456789"
FAR = "203.0.113.9"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, metrics_token=TOKEN))
    return TOKEN


def scrape(client: Client, *, peer: str = "127.0.0.1", **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/metrics", headers=sent, REMOTE_ADDR=peer)


def test_the_machine_itself_reads_every_metric_in_prometheus_text_format(client: Client) -> None:
    answer = scrape(client)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.content.decode()
    parse_metrics(text)
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {metric.name for metric in METRICS} <= declared


@pytest.mark.parametrize("accept", ["*/*", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "application/openmetrics-text"])
def test_a_scraper_gets_text_whatever_it_likes_best(client: Client, accept: str) -> None:
    assert scrape(client, Accept=accept).headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_every_form_of_loopback_is_the_machine_itself(client: Client, peer: str) -> None:
    assert scrape(client, peer=peer).status_code == 200


@pytest.mark.parametrize(
    "peer", [FAR, "10.0.0.1", "0.0.0.1", "::", "::ffff:10.0.0.1", "", "localhost", "127.0.0.1.evil"]
)
def test_a_stranger_is_refused(client: Client, peer: str) -> None:
    problem(scrape(client, peer=peer), 403, "forbidden")


@pytest.mark.parametrize(
    "header",
    ["X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Anything", "Forwarded", "Via", "X_Real_IP", "True_Client_IP"],
)
@pytest.mark.parametrize("value", ["127.0.0.1", FAR, ""])
def test_what_came_through_a_proxy_is_not_local(client: Client, header: str, value: str) -> None:
    problem(scrape(client, **{header: value}), 403, "forbidden")


def test_a_claim_to_be_forwarded_from_loopback_makes_nobody_local(client: Client) -> None:
    problem(scrape(client, peer=FAR, X_Forwarded_For="127.0.0.1"), 403, "forbidden")


def test_a_browser_led_here_by_another_name_is_refused(client: Client) -> None:
    problem(scrape(client, Host="evil.example"), 403, "forbidden")


def test_the_operators_token_opens_it_from_anywhere_and_under_any_name(client: Client, token: str) -> None:
    for scheme in ("Bearer", "bearer"):
        answer = scrape(client, peer=FAR, Authorization=f"{scheme} {token}", Host="10.1.2.3", X_Forwarded_For=FAR)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Basic " + TOKEN, f"Bearer {TOKEN}x", "Bearer " + TOKEN[:-1], "Bearer é"]
)
def test_a_wrong_token_opens_nothing(client: Client, token: str, given: str) -> None:
    answer = scrape(client, peer=FAR, Authorization=given)
    problem(answer, 403, "forbidden")
    assert token not in answer.content.decode()


def test_without_a_token_set_no_token_is_right(client: Client) -> None:
    for given in ("Bearer ", "Bearer None", "Bearer"):
        problem(scrape(client, peer=FAR, Authorization=given), 403, "forbidden")
    assert not is_token("Bearer ", token="")


def test_a_tenants_key_opens_nothing(client: Client, tenant: Tenant) -> None:
    problem(scrape(client, peer=FAR, Authorization=f"Bearer {tenant.api_key}"), 403, "forbidden")


def test_only_get_is_answered(api: Any) -> None:
    problem(api.post("/metrics"), 405, "method-not-allowed")


def test_only_the_peers_own_address_counts() -> None:
    assert is_local("127.0.0.1", ["Host", "Accept"])
    assert not is_local("127.0.0.1", ["Host", "x-forwarded-for"])


def test_an_accepted_job_is_counted_once_it_is_committed(
    api: Any, tenant: Tenant, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "wake_dispatcher", lambda: None)
    moment = Moment()
    with django_capture_on_commit_callbacks() as committed:
        for _ in range(3):
            assert api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key).status_code == 201
    assert moment.moved("jobservice_jobs_accepted_total", executor="handler") == 0
    for act in committed:
        act()
    assert moment.moved("jobservice_jobs_accepted_total", executor="handler") == 3
    assert moment.moved("jobservice_jobs_accepted_total", executor="http") == 0


def test_requests_are_counted_by_pattern_status_and_time(api: Any, tenant: Tenant) -> None:
    moment = Moment()
    api.get(f"/v1/jobs/{'job_' + secrets.token_hex(13)}", key=tenant.api_key)
    api.get("/v1/jobs", key=tenant.api_key)
    api.get("/v1/jobs", key=tenant.api_key)
    assert moment.moved("jobservice_http_requests_total", method="GET", route="v1/jobs/<str:job_id>", status="404") == 1
    assert moment.moved("jobservice_http_requests_total", method="GET", route="v1/jobs", status="200") == 2
    assert moment.moved("jobservice_http_request_seconds_count", route="v1/jobs") == 2


def test_nothing_a_stranger_writes_becomes_a_label(api: Any, tenant: Tenant) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    api.call(canary.upper(), f"/{canary}?{canary}=1", None, tenant.api_key, {})
    api.get(f"/v1/jobs/{canary}?{canary}={canary}", key=canary, Host=canary, User_Agent=canary)
    api.post("/v1/jobs", {"type": canary, "queue": canary, canary: canary}, key=tenant.api_key)
    api.post(
        "/v1/jobs", {"type": "echo", "queue": canary, "payload": canary, "tags": {"t": canary}}, key=tenant.api_key
    )
    text = scrape(Client()).content.decode()
    assert canary not in text.lower()
    assert str(tenant.id) not in text
    assert tenant.name not in text


def test_counting_is_cheap_beside_accepting(api: Any, tenant: Tenant) -> None:
    """Two events are told per accepted job; a generous bound on this thread's work, for a machine may be slow."""
    began = time.thread_time()
    for _ in range(2000):
        count_event("job_accepted", "info", {"executor": "handler"})
        count_event(
            "request_answered", "info", {"method": "POST", "route": "v1/jobs", "status": 201, "duration_ms": 9.0}
        )
    assert (time.thread_time() - began) / 2000 < 0.0005
