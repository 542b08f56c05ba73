"""The headers and refusals of the request limit, and of too many wrong keys. How exact it is: tests/races."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from api import wrong_keys
from jobservice.statements import run_statement
from tenants import request_limits
from tenants.api_key_format import new_api_key
from tenants.models import Tenant as TenantRow
from tests.api.keys import make_key, problem
from tests.api.standing_clocks import stop_the_clocks

pytestmark = pytest.mark.django_db


def set_rate(tenant: Any, rate: int | None) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"requests_per_second": rate})


def remaining(answer: Any) -> int:
    match = re.fullmatch(r'"api";r=([0-9]+);t=[0-9]+', answer.headers["RateLimit"])
    assert match is not None
    return int(match[1])


def test_every_authenticated_answer_says_what_is_left(api: Any, tenant: Any) -> None:
    for answer in (
        api.get("/v1/jobs", key=tenant.api_key),
        api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key),
        api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key, Idempotency_Key="k"),
        api.post("/v1/jobs", b"{", key=tenant.api_key),
        api.get("/v1/jobs?no=1", key=tenant.api_key),
        api.get("/v1/jobs/job_x", key=tenant.api_key),
        api.get("/v1/jobs", key=make_key(tenant, "tenant:read")),
    ):
        assert answer.headers["RateLimit-Policy"] == '"api";q=2000;w=2'
        assert 1900 < remaining(answer) < 2000
    assert "RateLimit" not in api.get("/v1/jobs").headers
    assert "RateLimit" not in api.get("/healthz").headers


@pytest.fixture
def standing_clocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stop_the_clocks(monkeypatch, tmp_path)


def test_what_is_left_goes_down(api: Any, tenant: Any, standing_clocks: None) -> None:
    set_rate(tenant, 1)
    assert [remaining(api.get("/v1/tenant", key=tenant.api_key)) for _ in range(2)] == [1, 0]


def test_over_the_limit_is_a_429_that_says_when_to_come_back(
    api: Any, tenant: Any, other_tenant: Any, standing_clocks: None
) -> None:
    set_rate(tenant, 1)
    answers = [api.get("/v1/tenant", key=tenant.api_key) for _ in range(4)]
    refused = answers[2:]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    problem(refused[0], 429, "rate-limited")
    assert refused[0].headers["Retry-After"] == "1"
    assert refused[0].headers["RateLimit"] == '"api";r=0;t=1'
    assert refused[0].headers["RateLimit-Policy"] == '"api";q=2;w=2'
    # All keys of a tenant share its limit, and no other tenant feels it.
    assert api.get("/v1/tenant", key=other_tenant.api_key).status_code == 200


def test_a_refused_request_does_nothing(api: Any, tenant: Any, standing_clocks: None) -> None:
    set_rate(tenant, 1)
    answers = [api.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 429, 429, 429]
    set_rate(tenant, None)
    assert len(api.get("/v1/jobs", key=tenant.api_key).json()["data"]) == 2


def test_refusals_for_lack_of_a_scope_count_too(api: Any, tenant: Any, standing_clocks: None) -> None:
    set_rate(tenant, 1)
    key = make_key(tenant, "tenant:read")
    assert {api.get("/v1/jobs", key=key).status_code for _ in range(6)} == {403, 429}


def test_a_stolen_key_from_another_network_does_not_use_up_the_tenants_requests(api: Any, tenant: Any) -> None:
    set_rate(tenant, 1)
    stolen = make_key(tenant, "tenant:read", cidrs=["192.0.2.0/24"])
    for _ in range(10):
        problem(api.get("/v1/tenant", key=stolen), 403, "forbidden")
    assert api.get("/v1/tenant", key=tenant.api_key).status_code == 200


def test_without_a_limit_there_is_none_and_no_header(api: Any, tenant: Any) -> None:
    set_rate(tenant, None)
    answer = api.get("/v1/tenant", key=tenant.api_key)
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers
    assert "RateLimit-Policy" not in answer.headers


def test_a_limit_of_none_at_all_lets_nothing_through(api: Any, tenant: Any) -> None:
    set_rate(tenant, 0)
    answer = api.get("/v1/tenant", key=tenant.api_key)
    problem(answer, 429, "rate-limited")
    assert answer.headers["Retry-After"] == "60"


def test_a_changed_limit_counts_from_the_next_request(api: Any, tenant: Any) -> None:
    set_rate(tenant, 0)
    problem(api.get("/v1/tenant", key=tenant.api_key), 429, "rate-limited")
    set_rate(tenant, 50)
    answer = api.get("/v1/tenant", key=tenant.api_key)
    assert (answer.status_code, answer.headers["RateLimit-Policy"]) == (200, '"api";q=100;w=2')


def test_a_block_of_requests_costs_one_statement(api: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []

    def take(*given: Any) -> Any:
        taken.append(given)
        return run_statement(*given)

    monkeypatch.setattr(request_limits, "run_statement", take)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    for _ in range(50):
        assert api.get("/v1/tenant", key=tenant.api_key).status_code == 200
    assert len(taken) == 1
    assert api.get("/v1/tenant", key=tenant.api_key).status_code == 200
    assert len(taken) == 2


def exhaust(api: Any) -> None:
    for _ in range(wrong_keys.BURST + 20):
        if api.get("/v1/jobs", key=new_api_key().text).status_code == 429:
            return
    pytest.fail("wrong keys were looked up without end")


@pytest.fixture
def slow_refill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "BURST", 10)
    monkeypatch.setattr(wrong_keys, "PER_SECOND", 0.01)


def test_wrong_keys_are_not_looked_up_without_end(api: Any, tenant: Any, slow_refill: None) -> None:
    exhaust(api)
    answer = api.get("/v1/jobs", key=new_api_key().text)
    problem(answer, 429, "rate-limited")
    assert answer.headers["Retry-After"] == "1"
    assert api.get("/v1/jobs", key=new_api_key().text, REMOTE_ADDR="x").status_code == 429


def test_a_key_that_was_right_before_is_not_locked_out_by_its_neighbour(
    api: Any, tenant: Any, slow_refill: None
) -> None:
    assert api.get("/v1/jobs", key=tenant.api_key).status_code == 200
    exhaust(api)
    assert api.get("/v1/jobs", key=tenant.api_key).status_code == 200


def test_malformed_keys_cost_nothing_and_do_not_count(api: Any, tenant: Any, slow_refill: None) -> None:
    for _ in range(30):
        problem(api.get("/v1/jobs", key="js_live_x"), 401, "unauthenticated")
    problem(api.get("/v1/jobs", key=new_api_key().text), 401, "unauthenticated")
