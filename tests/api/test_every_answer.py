"""What holds for every request, whatever the address: problem documents, request ids, headers, the log event."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, InternalError, OperationalError
from django.test import Client
from django.urls import get_resolver
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, TransactionTimeout

import api.jobs
from api.openapi.views import ReadDocument
from api.problems import PROBLEM_TYPES
from api.views import AddressedView, ApiView, by_method
from jobservice import ids
from jobservice.errors import QuotaExceeded, Unavailable, Unreadable
from tests.api.keys import faults, problem
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/v1/jobs/", "/v1/jobs/a/b/c", "/%FF%00", "/v1"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_a_problem_document(api: Any, path: str, method: str) -> None:
    problem(api.call(method, path, None, None, {}), 404, "not-found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_wrong_method_is_told_the_right_ones(api: Any, method: str) -> None:
    answer = api.call(method, "/v1/jobs", None, None, {})
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml, text/*", "application/json;q=0", "text/event-stream"]
)
def test_only_json_can_be_asked_for(api: Any, tenant: Any, accept: str) -> None:
    problem(api.get("/v1/jobs", key=tenant.api_key, Accept=accept), 406, "not-acceptable")


@pytest.mark.parametrize(
    "accept", ["*/*", "", "application/*", "text/html, application/json;q=0.1", "APPLICATION/JSON"]
)
def test_whatever_leaves_room_for_json_gets_it(api: Any, tenant: Any, accept: str) -> None:
    answer = api.get("/v1/jobs", key=tenant.api_key, Accept=accept)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


def test_a_host_the_service_does_not_answer_for_is_refused(api: Any, tenant: Any) -> None:
    problem(api.get("/v1/jobs", key=tenant.api_key, Host="evil.example"), 400, "bad-request")
    assert api.get("/healthz", Host="10.0.0.7").status_code == 200


def test_too_many_parameters_are_a_bad_request(api: Any, tenant: Any) -> None:
    query = "&".join(f"a{n}=1" for n in range(2000))
    problem(api.get(f"/v1/jobs?{query}", key=tenant.api_key), 400, "bad-request")


def test_a_clients_request_id_comes_back(api: Any) -> None:
    assert api.get("/healthz", X_Request_Id="mine-1.2_3").headers["X-Request-Id"] == "mine-1.2_3"


@pytest.mark.parametrize("text", ["", "a" * 129, "a b", "a\nb", "ü"])
def test_a_request_id_out_of_form_is_replaced(api: Any, text: str) -> None:
    given = api.get("/healthz", X_Request_Id=text).headers["X-Request-Id"]
    assert given != text
    assert given.isalnum()


def test_every_answer_forbids_what_a_browser_might_do(api: Any) -> None:
    for path in ("/healthz", "/v1/jobs", "/nothing"):
        headers = api.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not any(name.lower().startswith("access-control-") for name in headers)
        assert headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in headers


def test_a_cookie_authenticates_nobody(api: Any, tenant: Any) -> None:
    client = Client()
    client.cookies["Authorization"] = f"Bearer {tenant.api_key}"
    client.cookies["sessionid"] = tenant.api_key
    assert client.get("/v1/jobs").status_code == 401


def test_each_request_is_one_event_without_its_path(api: Any, tenant: Any, caplog: Any) -> None:
    job = make_job(tenant)
    caplog.clear()
    api.get(f"/v1/jobs/{job['id']}?include=payload", key=tenant.api_key, X_Request_Id="req-1")
    (event,) = [found for found in events(caplog) if found["event"] == "request_answered"]
    assert event.pop("duration_ms") >= 0
    assert event.pop("timestamp")
    assert event == {
        "event": "request_answered",
        "level": "info",
        "method": "GET",
        "route": "v1/jobs/<str:job_id>",
        "status": 200,
        "request_id": "req-1",
        "tenant_id": ids.show_id(ids.TENANT, tenant.id),
    }


def test_logs_hold_neither_paths_nor_keys(api: Any, tenant: Any, caplog: Any) -> None:
    api.get("/canary-path?canary-query=1", key=tenant.api_key)
    api.post("/v1/jobs", {"type": "canary-type", "canary-field": 1}, key=tenant.api_key)
    assert "canary" not in caplog.text
    assert tenant.api_key not in caplog.text


@pytest.mark.parametrize(
    "error", [OperationalError("canary"), InterfaceError("canary"), Unavailable("The key service is away.")]
)
def test_a_dependency_that_is_away_is_a_503(api: Any, tenant: Any, monkeypatch: Any, error: Exception) -> None:
    answer = failing(api, tenant, monkeypatch, error)
    problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert b"canary" not in answer.content


@pytest.mark.parametrize("cause", [ReadOnlySqlTransaction, IdleInTransactionSessionTimeout, TransactionTimeout])
def test_a_standby_or_a_transaction_that_was_too_slow_is_a_503(
    api: Any, tenant: Any, monkeypatch: Any, cause: type[Exception]
) -> None:
    error = InternalError("canary")
    error.__cause__ = cause("canary")
    problem(failing(api, tenant, monkeypatch, error), 503, "unavailable")


@pytest.mark.parametrize("error", [ZeroDivisionError("canary"), InternalError("canary"), Unreadable("canary")])
def test_an_unexpected_fault_tells_nothing(
    api: Any, tenant: Any, monkeypatch: Any, caplog: Any, error: Exception
) -> None:
    answer = failing(api, tenant, monkeypatch, error)
    problem(answer, 500, "internal")
    assert b"canary" not in answer.content
    assert "canary" not in caplog.text
    assert [event["error_class"] for event in events(caplog) if event["event"] == "request_failed"] == [
        type(error).__name__
    ]


def test_every_operation_declares_who_may_call_it() -> None:
    for pattern in get_resolver().url_patterns:
        for address in getattr(pattern, "url_patterns", [pattern]):
            if str(address.pattern).startswith("v1/"):
                operations = set(address.callback.operations.values()) - {ReadDocument}
                addressed = {operation for operation in operations if issubclass(operation, AddressedView)}
                assert all(operation.required_scopes for operation in operations - addressed), address.pattern


def test_an_operation_without_scopes_stops_the_start() -> None:
    class Undeclared(ApiView):
        pass

    class Misspelt(ApiView):
        required_scopes = frozenset({"jobs:reed"})

    for operation in (Undeclared, Misspelt):
        with pytest.raises(ImproperlyConfigured, match=f"{operation.__name__} must declare required_scopes"):
            by_method(GET=operation)


def test_an_addressed_operation_that_checks_no_address_stops_the_start() -> None:
    class Unchecked(AddressedView):
        pass

    class Open(AddressedView):
        authentication_classes = ()

    for operation in (Unchecked, Open):
        with pytest.raises(ImproperlyConfigured, match=f"{operation.__name__} must say who checks its address"):
            by_method(POST=operation)


def test_each_problem_has_its_page(api: Any) -> None:
    for code, kind in PROBLEM_TYPES.items():
        answer = api.get(f"/docs/problems/{code}", Accept="text/html")
        page = answer.content.decode()
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert kind.title in page
        assert str(kind.status) in page
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    problem(api.get("/docs/problems/<b>"), 404, "not-found")


def failing(api_client: Any, tenant: Any, monkeypatch: Any, error: Exception) -> Any:
    """The answer of an operation whose domain verb raises this error."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(api.jobs, "accept_job", fail)
    return api_client.post("/v1/jobs", {"type": "echo"}, key=tenant.api_key)


def events(caplog: Any) -> list[dict[str, Any]]:
    """The structured events that were logged."""
    return [ast.literal_eval(record.getMessage()) for record in caplog.records if record.name == "jobservice"]


@pytest.mark.parametrize(
    "path", ["/v1/jobs/{job}", "/v1/job-types/mine", "/v1/api-keys/key_01m8a64ha4ev2bh1vv7fw240va"]
)
def test_a_delete_that_says_more_than_its_address_is_refused(api: Any, tenant: Any, path: str) -> None:
    target = path.format(job=make_job(tenant)["id"])
    for body in ({"force": True}, {"reason": None}):
        assert faults(api.call("DELETE", target, body, tenant.api_key, {})) == {
            (f"/{next(iter(body))}", "unknown-field")
        }
    assert faults(api.call("DELETE", target, [], tenant.api_key, {})) == {("", "wrong-type")}
    problem(api.call("DELETE", target, b"{", tenant.api_key, {}), 400, "malformed-json")
    # With nothing in it, it says nothing.
    assert api.call("DELETE", target, {}, tenant.api_key, {}).status_code in (404, 409)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, {None}), (90, {str(left) for left in range(30, 91)}), (0.2, {"1"}), (-5, {"1"})]
)
def test_a_quota_says_when_to_come_back_if_it_frees_by_time(
    api: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch, seconds: float | None, expected: set[str | None]
) -> None:
    resets_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)

    def refuse(*_args: Any, **_options: Any) -> None:
        raise QuotaExceeded("job_types", limit=3, used=3, resets_at=resets_at)

    monkeypatch.setattr("api.job_types.put_job_type", refuse)
    answer = api.put("/v1/job-types/mine", {}, key=tenant.api_key)
    document = problem(answer, 429, "quota-exceeded")
    assert (document["resets_at"] is None) == (seconds is None)
    assert answer.headers.get("Retry-After") in expected
