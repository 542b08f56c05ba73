"""GET and POST /v1/webhook-endpoints, GET, PATCH and DELETE …/{id}, POST …/{id}/rotate-secret and …/{id}/test."""

from __future__ import annotations

from typing import Any

import pytest

from jobservice import ids
from jobservice.jobs.models import IdempotencyKey
from jobservice.webhooks.event_types import EVENT_TYPES
from jobservice.webhooks.models import Delivery, LiveDelivery, WebhookEndpoint
from tenants.models import SigningSecret
from tenants.plans import set_quotas
from tenants.quotas import QuotaChange
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import Tenant

pytestmark = pytest.mark.django_db
PATH = "/v1/webhook-endpoints"
URL = "https://example.com/events?token=t"
OWN = {"scheme": "v1", "own": True}


def make(api: Any, tenant: Tenant, **fields: Any) -> Any:
    answer = api.post(PATH, {"url": URL, **fields}, key=tenant.api_key)
    assert answer.status_code == 201, answer.content
    return answer.json()


def change(api: Any, tenant: Tenant, endpoint: Any, body: Any, **headers: str) -> Any:
    return api.patch(f"{PATH}/{endpoint['id']}", body, key=tenant.api_key, **headers)


def test_an_endpoint_is_made_with_every_default(api: Any, tenant: Any) -> None:
    answer = api.post(PATH, {"url": URL}, key=tenant.api_key)
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{PATH}/{made['id']}")
    assert made == {
        "id": made["id"],
        "url": URL,
        "events": ["*"],
        "queues": None,
        "types": None,
        "headers": {},
        "signing": {"scheme": "v1", "own": False, "public_key": None},
        "status": "enabled",
        "status_reason": None,
        "failing_since": None,
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    }
    read = api.get(f"{PATH}/{made['id']}", key=tenant.api_key)
    assert (read.json(), read.headers["ETag"]) == (made, answer.headers["ETag"])


def test_an_own_secret_is_answered_once_and_header_values_never(api: Any, tenant: Any) -> None:
    made = make(api, tenant, signing=OWN, headers={"X-Token": "s3cret"})
    secret = made["signing"].pop("secret")
    assert secret.startswith("whsec_")
    assert made["headers"] == {"X-Token": "***"}
    for path in (PATH, f"{PATH}/{made['id']}"):
        content = api.get(path, key=tenant.api_key).content.decode()
        assert secret not in content
        assert "s3cret" not in content
    assert api.get(f"{PATH}/{made['id']}", key=tenant.api_key).json() == made


def test_of_v1a_everybody_sees_the_public_key_and_nobody_the_secret(api: Any, tenant: Any) -> None:
    made = make(api, tenant, signing={"scheme": "v1a", "own": True})
    assert made["signing"].keys() == {"scheme", "own", "public_key"}
    assert made["signing"]["public_key"].startswith("whpk_")
    shared = make(api, tenant, signing={"scheme": "v1a"})["signing"]["public_key"]
    assert shared == api.get("/v1/signing-secrets/default", key=tenant.api_key).json()["public_key"]
    assert shared != made["signing"]["public_key"]


@pytest.mark.parametrize("schemes", [("v1", "v1a"), ("v1a", "v1")])
def test_a_secret_of_one_scheme_is_not_kept_for_the_other(api: Any, tenant: Any, schemes: tuple[str, str]) -> None:
    before, after = schemes
    endpoint = make(api, tenant, signing={"scheme": before, "own": True})
    same = change(api, tenant, endpoint, {"signing": {"scheme": before, "own": True}}).json()
    assert "secret" not in same["signing"]
    rows = set(SigningSecret.objects.filter(name=endpoint["id"]).values_list("id", flat=True))
    changed = change(api, tenant, endpoint, {"signing": {"scheme": after, "own": True}}).json()
    assert ("secret" in changed["signing"]) == (after == "v1")
    assert rows.isdisjoint(SigningSecret.objects.filter(name=endpoint["id"]).values_list("id", flat=True))


def test_endpoints_are_listed_newest_first_and_in_pages(api: Any, tenant: Any, other_tenant: Any) -> None:
    made = [make(api, tenant)["id"] for _ in range(3)][::-1]
    make(api, other_tenant)
    assert [one["id"] for one in api.get(PATH, key=tenant.api_key).json()["data"]] == made
    page = api.get(f"{PATH}?limit=2", key=tenant.api_key).json()
    rest = api.get(f"{PATH}?limit=2&cursor={page['next_cursor']}", key=tenant.api_key).json()
    assert [one["id"] for one in page["data"] + rest["data"]] == made
    assert rest["next_cursor"] is None
    foreign = api.get(f"{PATH}?cursor={page['next_cursor']}", key=other_tenant.api_key)
    assert faults(foreign) == {("/cursor", "bad-cursor")}


def test_a_change_alters_what_it_names_and_null_is_the_default(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant, events=["job.discarded"], queues=["b", "a"], headers={"X-A": "1"})
    assert endpoint["queues"] == ["a", "b"]
    changed = change(api, tenant, endpoint, {"queues": None, "types": ["echo"], "status": "paused"}).json()
    assert changed == {
        **endpoint,
        "queues": None,
        "types": ["echo"],
        "status": "paused",
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > endpoint["updated_at"]


def test_a_disabled_endpoint_says_why_until_it_is_enabled(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant)
    WebhookEndpoint.objects.update(
        status="disabled", status_reason="failing", failing_since="2027-01-01T00:00:00Z", revision=2
    )
    read = api.get(f"{PATH}/{endpoint['id']}", key=tenant.api_key).json()
    assert (read["status"], read["status_reason"]) == ("disabled", "failing")
    assert read["failing_since"] == "2027-01-01T00:00:00.000Z"
    changed = change(api, tenant, endpoint, {"status": "enabled"}).json()
    assert (changed["status"], changed["status_reason"], changed["failing_since"]) == ("enabled", None, None)


def test_if_match_protects_what_changed_and_what_the_client_has_is_not_sent_again(api: Any, tenant: Any) -> None:
    made = api.post(PATH, {"url": URL}, key=tenant.api_key)
    path, first, endpoint = f"{PATH}/{made.json()['id']}", made.headers["ETag"], made.json()
    same = api.get(path, key=tenant.api_key, If_None_Match=first)
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first)
    second = change(api, tenant, endpoint, {"status": "paused"}, If_Match=first).headers["ETag"]
    assert api.get(path, key=tenant.api_key, If_None_Match=first).status_code == 200
    problem(change(api, tenant, endpoint, {"status": "enabled"}, If_Match=first), 412, "precondition-failed")
    problem(api.delete(path, key=tenant.api_key, If_Match=first), 412, "precondition-failed")
    assert api.get(path, key=tenant.api_key).headers["ETag"] == second
    assert api.delete(path, key=tenant.api_key, If_Match=second).status_code == 204


def test_a_deleted_endpoint_is_gone_with_its_secret(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant, signing=OWN)
    answer = api.delete(f"{PATH}/{endpoint['id']}", key=tenant.api_key)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not SigningSecret.objects.filter(name=endpoint["id"]).exists()
    problem(api.get(f"{PATH}/{endpoint['id']}", key=tenant.api_key), 404, "not-found")


CALLS = [
    ("GET", "", None),
    ("PATCH", "", {"status": "paused"}),
    ("DELETE", "", None),
    ("POST", "/rotate-secret", {}),
    ("POST", "/test", {}),
    ("GET", "/deliveries", None),
]


@pytest.mark.parametrize(("method", "rest", "body"), CALLS)
def test_another_tenants_endpoint_is_answered_as_an_unknown_one(
    api: Any, tenant: Any, other_tenant: Any, method: str, rest: str, body: Any
) -> None:
    foreign, unknown = make(api, other_tenant)["id"], ids.show_id(ids.ENDPOINT, ids.new_id())
    wrong = ids.show_id(ids.JOB, ids.new_id())
    answers = [
        without_request_id(api.call(method, f"{PATH}/{one}{rest}", body, tenant.api_key, {}))
        for one in (foreign, unknown, wrong, "x", "end_%00")
    ]
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)
    assert WebhookEndpoint.objects.get().status == "enabled"
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(("method", "rest", "body"), [*CALLS, ("POST", None, {"url": URL}), ("GET", None, None)])
def test_every_operation_needs_a_key_with_its_scope_and_every_queue(
    api: Any, tenant: Any, method: str, rest: str | None, body: Any
) -> None:
    path = PATH if rest is None else f"{PATH}/{make(api, tenant)['id']}{rest}"
    problem(api.call(method, path, body, None, {}), 401, "unauthenticated")
    problem(
        api.call(method, path, body, make_key(tenant, "jobs:write", "payloads:read"), {}), 403, "insufficient-scope"
    )
    problem(api.call(method, path, body, make_key(tenant, "webhooks:write", queues=["a"]), {}), 403, "forbidden")
    assert api.call(method, path, body, make_key(tenant, "webhooks:write"), {}).status_code < 300


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("/url", "required")}),
        ([], {("", "wrong-type")}),
        ({"url": 7}, {("/url", "wrong-type")}),
        ({"url": URL, "more": 1}, {("/more", "unknown-field")}),
        ({"url": URL, "events": []}, {("/events", "out-of-range")}),
        ({"url": URL, "events": ["job.completed", "webhook.test"]}, {("/events/1", "out-of-range")}),
        ({"url": URL, "events": "*"}, {("/events", "wrong-type")}),
        ({"url": URL, "queues": ["A"]}, {("/queues/0", "bad-format")}),
        ({"url": URL, "types": [1]}, {("/types", "wrong-type")}),
        ({"url": URL, "types": ["a"] * 101}, {("/types", "out-of-range")}),
        ({"url": URL, "headers": {"X-A": "***"}}, {("/headers/X-A", "bad-format")}),
        ({"url": URL, "headers": {"webhook-id": "1"}}, {("/headers", "bad-format")}),
        ({"url": URL, "signing": {"scheme": "v2"}}, {("/signing/scheme", "out-of-range")}),
        ({"url": URL, "signing": {"secret": "whsec_"}}, {("/signing/secret", "unknown-field")}),
        ({"url": URL, "status": "disabled"}, {("/status", "out-of-range")}),
        ({"url": "http://10.0.0.1/", "status": "off"}, {("/url", "egress-refused"), ("/status", "out-of-range")}),
    ],
)
def test_what_is_wrong_is_told_and_makes_nothing(api: Any, tenant: Any, body: Any, expected: Any) -> None:
    assert faults(api.post(PATH, body, key=tenant.api_key)) == expected
    assert not WebhookEndpoint.objects.exists()


def test_a_change_of_nothing_or_to_an_address_out_of_reach_is_refused(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant)
    assert faults(change(api, tenant, endpoint, {})) == {("", "required")}
    assert faults(change(api, tenant, endpoint, {"url": None})) == {("/url", "required")}
    problem(change(api, tenant, endpoint, {"url": "http://10.0.0.1/"}), 422, "egress-refused")
    problem(api.post(PATH, {"url": "http://169.254.169.254/"}, key=tenant.api_key), 422, "egress-refused")
    assert api.get(f"{PATH}/{endpoint['id']}", key=tenant.api_key).json() == endpoint


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_type_of_events_can_be_asked_for(api: Any, tenant: Any, name: str) -> None:
    assert make(api, tenant, events=[name])["events"] == [name]


def test_one_more_than_the_quota_is_refused_until_one_goes(api: Any, tenant: Any) -> None:
    set_quotas(tenant.id, QuotaChange({"webhook_endpoints": 1}))
    endpoint = make(api, tenant)
    refused = problem(api.post(PATH, {"url": URL}, key=tenant.api_key), 429, "quota-exceeded")
    assert (refused["violated_policies"], refused["limit"], refused["used"]) == (["webhook_endpoints"], 1, 1)
    api.delete(f"{PATH}/{endpoint['id']}", key=tenant.api_key)
    make(api, tenant)
    set_quotas(tenant.id, QuotaChange({"webhook_endpoints": None}))
    make(api, tenant)


def test_a_request_sent_again_makes_one_endpoint_and_answers_the_same_secret(api: Any, tenant: Any) -> None:
    body = {"url": URL, "signing": OWN}
    first, second = (api.post(PATH, body, key=tenant.api_key, Idempotency_Key="k") for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert (second.headers["Idempotent-Replayed"], second.headers["ETag"]) == ("true", first.headers["ETag"])
    assert WebhookEndpoint.objects.count() == 1
    secret = first.json()["signing"]["secret"].encode()
    assert not any(secret in bytes(row.answer_sealed) for row in IdempotencyKey.objects.all())
    reused = api.post(PATH, {"url": URL}, key=tenant.api_key, Idempotency_Key="k")
    problem(reused, 422, "idempotency-key-reused")


def test_a_rotated_secret_is_answered_once_and_the_old_one_has_its_day(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant, signing=OWN)
    answer = api.post(f"{PATH}/{endpoint['id']}/rotate-secret", key=tenant.api_key)
    assert answer.status_code == 200
    rotated = answer.json()
    assert rotated["signing"]["secret"] != endpoint["signing"]["secret"]
    old = SigningSecret.objects.get(name=endpoint["id"], valid_until__isnull=False)
    assert old.valid_until is not None
    assert 86_300 < (old.valid_until - old.created_at).total_seconds() < 86_500
    now = api.post(f"{PATH}/{endpoint['id']}/rotate-secret", {"overlap_seconds": 0}, key=tenant.api_key)
    assert now.status_code == 200
    read = api.get(f"{PATH}/{endpoint['id']}", key=tenant.api_key)
    assert "secret" not in read.json()["signing"]
    assert read.headers["ETag"] == now.headers["ETag"] != answer.headers["ETag"]


def test_a_rotation_gives_an_endpoint_its_own_secret_and_v1a_a_new_public_key(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant)
    signing = api.post(f"{PATH}/{endpoint['id']}/rotate-secret", {}, key=tenant.api_key).json()["signing"]
    assert (signing["own"], signing["secret"][:6]) == (True, "whsec_")
    public = make(api, tenant, signing={"scheme": "v1a", "own": True})
    rotated = api.post(f"{PATH}/{public['id']}/rotate-secret", {}, key=tenant.api_key).json()["signing"]
    assert "secret" not in rotated
    assert rotated["public_key"] != public["signing"]["public_key"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"overlap_seconds": 604_801}, {("/overlap_seconds", "out-of-range")}),
        ({"overlap_seconds": -1}, {("/overlap_seconds", "out-of-range")}),
        ({"overlap_seconds": "1"}, {("/overlap_seconds", "wrong-type")}),
        ({"overlap": 1}, {("/overlap", "unknown-field")}),
        ([], {("", "wrong-type")}),
    ],
)
def test_invalid_rotations_are_refused(api: Any, tenant: Any, body: Any, expected: Any) -> None:
    endpoint = make(api, tenant, signing=OWN)
    for path in (f"{PATH}/{endpoint['id']}/rotate-secret", "/v1/signing-secrets/default/rotate"):
        assert faults(api.post(path, body, key=tenant.api_key)) == expected
    assert not SigningSecret.objects.filter(valid_until__isnull=False).exists()


def test_a_test_event_is_a_delivery_of_its_own(api: Any, tenant: Any) -> None:
    endpoint = make(api, tenant, events=["job.discarded"], status="paused")
    path = f"{PATH}/{endpoint['id']}/test"
    first, again = (api.post(path, key=tenant.api_key, Idempotency_Key="t") for _ in range(2))
    assert (first.status_code, first.content) == (202, again.content)
    delivery = first.json()
    assert delivery == {
        "id": delivery["id"],
        "event": {**delivery["event"], "type": "webhook.test"},
        "job_id": None,
        "state": "pending",
        "attempt": 0,
        "next_attempt_at": delivery["next_attempt_at"],
        "created_at": delivery["created_at"],
        "finished_at": None,
        "attempts": [],
    }
    listed = api.get(f"{PATH}/{endpoint['id']}/deliveries", key=tenant.api_key).json()["data"]
    assert listed == [delivery]
    assert LiveDelivery.objects.count() == 1
    assert faults(api.post(path, {"event": "job.completed"}, key=tenant.api_key)) == {("/event", "unknown-field")}


def test_unknown_parameters_are_refused(api: Any, tenant: Any) -> None:
    own = f"{PATH}/{make(api, tenant)['id']}"
    calls = [("GET", PATH), ("POST", PATH), ("GET", own), ("PATCH", own), ("DELETE", own)]
    calls += [("POST", f"{own}/rotate-secret"), ("POST", f"{own}/test"), ("GET", f"{own}/deliveries")]
    for method, path in calls:
        body = {"url": URL} if method in ("POST", "PATCH") else None
        assert faults(api.call(method, f"{path}?all=1", body, tenant.api_key, {})) == {("/all", "unknown-parameter")}
    assert WebhookEndpoint.objects.count() == 1


def test_logs_hold_neither_address_nor_secret(api: Any, tenant: Any, caplog: Any) -> None:
    endpoint = make(api, tenant, signing=OWN, headers={"X-Token": "s3cret"})
    rotated = api.post(f"{PATH}/{endpoint['id']}/rotate-secret", {}, key=tenant.api_key).json()
    change(api, tenant, endpoint, {"url": "https://example.com/canary"})
    assert "endpoint_changed" in caplog.text
    for text in (endpoint["signing"]["secret"], rotated["signing"]["secret"], "s3cret", "token=t", "canary"):
        assert text not in caplog.text
