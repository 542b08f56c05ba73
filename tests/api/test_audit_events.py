"""GET /v1/audit-events."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from jobservice import ids
from jobservice.jobs.models import JobType
from jobservice.webhooks.models import WebhookEndpoint
from tenants.api_keys import SCOPES
from tenants.models import ApiKey, AuditEvent
from tests.api.keys import faults, make_key, problem
from tests.api.replays import make_deliveries, replay
from tests.factories import Tenant, make_job, make_tenant
from tests.tenants.commands import run
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db
PATH = "/v1/audit-events"


def listed(api: Any, tenant: Tenant, query: str = "", **headers: str) -> list[dict[str, Any]]:
    answer = api.get(f"{PATH}{query}", key=tenant.api_key, **headers)
    assert answer.status_code == 200, answer.content
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def key_id(text: str) -> str:
    return ids.show_id(ids.API_KEY, ApiKey.objects.get(lookup_id=text.split("_")[2]).id)


def test_an_act_is_shown_with_who_what_and_from_where(api: Any, tenant: Tenant) -> None:
    api.put("/v1/queues/mail", {"concurrency": 2}, key=tenant.api_key)
    answer = api.patch("/v1/queues/mail", {"concurrency": 3}, key=tenant.api_key, X_Request_Id="mine-1")
    assert answer.status_code == 200
    event = listed(api, tenant)[0]
    assert event.pop("id").startswith("aud_")
    assert event.pop("at").endswith("Z")
    assert len(event.pop("hash")) == 64
    assert event == {
        "seq": 4,
        "actor": {"type": "api-key", "id": key_id(tenant.api_key), "command": None},
        "action": "queue.updated",
        "object": {"type": "queue", "id": "mail"},
        "before": {"concurrency": 2},
        "after": {"concurrency": 3},
        "address": "127.0.0.1",
        "request_id": "mine-1",
    }


def test_of_the_operator_the_command_is_shown_and_not_the_login(api: Any, tenant: Tenant) -> None:
    run("set_weight", tenant.name, "3")
    event = listed(api, tenant)[0]
    assert event["actor"] == {"type": "operator", "id": None, "command": "set_weight"}
    login = AuditEvent.objects.get(tenant_id=tenant.id, action="tenant.updated").actor_id
    assert listed(api, tenant, f"?actor={login}") == []


def test_the_newest_come_first_page_by_page_and_no_cursor_serves_another_list(api: Any, tenant: Tenant) -> None:
    for number in range(4):
        api.put(f"/v1/queues/q{number}", {}, key=tenant.api_key)
    seen, query = [], "?limit=2"
    while True:
        page = api.get(f"{PATH}{query}", key=tenant.api_key).json()
        seen += [event["seq"] for event in page["data"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
        cursor = page["next_cursor"]
    assert seen == [6, 5, 4, 3, 2, 1]
    other = make_tenant()
    for refused in (
        api.get(f"{PATH}?action=queue.created&cursor={cursor}", key=tenant.api_key),
        api.get(f"{PATH}?cursor={cursor}", key=other.api_key),
    ):
        assert faults(refused) == {("/cursor", "bad-cursor")}


def test_events_are_found_by_actor_action_object_and_time(api: Any, tenant: Tenant) -> None:
    other_key = make_key(tenant, *SCOPES)
    job = make_job(tenant)
    api.put("/v1/queues/mail", {}, key=other_key)
    api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key)
    run("set_weight", tenant.name, "3")

    def actions(query: str) -> list[str]:
        return [event["action"] for event in listed(api, tenant, query)]

    assert actions(f"?actor={key_id(other_key)}") == ["queue.created"]
    assert actions("?actor=operator") == ["tenant.updated"]
    assert actions("?action=job.cancelled") == ["job.cancelled"]
    assert actions(f"?object={job['id']}") == ["job.cancelled"]
    assert actions("?object=mail&action=queue.created&actor=api-key") == ["queue.created"]
    assert actions("?object=mail&actor=operator") == []
    middle = AuditEvent.objects.get(tenant_id=tenant.id, action="job.cancelled").at
    at = quote(middle.isoformat())
    assert actions(f"?since={at}") == ["tenant.updated", "job.cancelled"]
    assert actions(f"?until={at}")[0] == "queue.created"


def test_an_unknown_action_a_bad_time_and_an_unknown_parameter_are_refused(api: Any, tenant: Tenant) -> None:
    answer = api.get(f"{PATH}?action=queue.exploded&since=yesterday&who=me&object={'x' * 101}", key=tenant.api_key)
    assert faults(answer) == {
        ("/action", "out-of-range"),
        ("/since", "bad-format"),
        ("/who", "unknown-parameter"),
        ("/object", "too-long"),
    }


def test_it_takes_its_scope_and_a_key_of_every_queue(api: Any, tenant: Tenant) -> None:
    problem(api.get(PATH), 401, "unauthenticated")
    scopes = [scope for scope in SCOPES if scope != "audit:read"]
    problem(api.get(PATH, key=make_key(tenant, *scopes)), 403, "insufficient-scope")
    problem(api.get(PATH, key=make_key(tenant, *SCOPES, queues=["mail"])), 403, "forbidden")
    assert api.get(PATH, key=make_key(tenant, "audit:read")).status_code == 200


def test_another_tenants_acts_are_not_seen(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    api.put("/v1/queues/theirs", {}, key=other_tenant.api_key)
    assert [event["action"] for event in listed(api, tenant)] == ["api-key.created", "tenant.created"]


def test_a_request_that_is_repeated_is_one_act(api: Any, tenant: Tenant) -> None:
    for _ in range(2):
        body = {"name": "once", "scopes": ["jobs:read"]}
        assert api.post("/v1/api-keys", body, key=tenant.api_key, Idempotency_Key="k1").status_code == 201
    assert [event["after"]["name"] for event in listed(api, tenant, "?action=api-key.created")] == ["once", "first key"]


def test_a_bulk_action_is_one_act_however_many_jobs_it_meets(api: Any, tenant: Tenant) -> None:
    for _ in range(3):
        make_job(tenant, tags={"customer": "ada"})
    body = {"action": "cancel", "filter": {"tag": {"customer": "ada"}}}
    done = api.post("/v1/jobs/bulk-actions", body, key=tenant.api_key).json()
    assert done["done"] == 3
    (event,) = [event for event in listed(api, tenant) if event["seq"] > 2]
    assert event["object"] == {"type": "bulk-action", "id": done["id"]}
    assert event["after"] == {"action": "cancel", "matched": 3, "max": done["max"], "filter": {"tag": ["customer"]}}


def test_a_replay_is_one_act_however_many_deliveries_it_sends_again(api: Any, tenant: Tenant) -> None:
    endpoint = make_endpoint(tenant)
    make_deliveries(tenant, endpoint, count=3)
    before = listed(api, tenant)[0]["seq"]
    done = replay(api, tenant, endpoint).json()
    assert done["done"] == 3
    (event,) = [event for event in listed(api, tenant) if event["seq"] > before]
    assert (event["action"], event["object"]["id"]) == ("bulk-action.created", done["id"])
    assert (event["after"]["action"], event["after"]["endpoint_id"]) == ("replay", done["endpoint_id"])


def test_another_secret_of_a_type_is_an_act_and_so_is_another_choice_of_signing(api: Any, tenant: Tenant) -> None:
    for own in (True, False):
        http = {"url": "http://127.0.0.1:9/work", "signing": {"own": own}}
        api.put("/v1/job-types/t.own", {"executor": "http", "http": http}, key=tenant.api_key)
        api.post("/v1/job-types/t.own/rotate-secret", {}, key=tenant.api_key)
    changed, rotated, made = listed(api, tenant)[:3]
    assert (made["action"], made["after"]["signing"]["own"]) == ("job-type.created", True)
    assert (rotated["action"], rotated["before"], rotated["after"]) == ("job-type.secret-rotated", None, None)
    assert (changed["action"], changed["before"]["signing"]["own"], changed["after"]["signing"]["own"]) == (
        "job-type.updated",
        True,
        False,
    )


def test_what_does_not_open_any_more_can_still_be_replaced_and_deleted(api: Any, tenant: Tenant) -> None:
    """Though the log says of both what they were."""
    spec = {"executor": "http", "http": {"url": "http://127.0.0.1:9/work"}}
    api.put("/v1/job-types/t.own", spec, key=tenant.api_key)
    made = api.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/"}, key=tenant.api_key).json()
    JobType.objects.filter(tenant_id=tenant.id).update(http_sealed=bytes(100))
    WebhookEndpoint.objects.filter(tenant_id=tenant.id).update(url_sealed=bytes(100))
    assert api.put("/v1/job-types/t.own", spec, key=tenant.api_key).status_code == 200
    assert api.delete(f"/v1/webhook-endpoints/{made['id']}", key=tenant.api_key).status_code == 204
    deleted, replaced = listed(api, tenant)[:2]
    assert (replaced["action"], replaced["after"]) == ("job-type.updated", {"http": "changed"})
    assert (deleted["action"], deleted["before"]["status"]) == ("endpoint.deleted", "enabled")


def test_a_request_leaves_nobody_acting_behind_it(api: Any, tenant: Tenant) -> None:
    api.get("/v1/tenant", key=tenant.api_key)
    make_key(tenant, "jobs:read")
    assert listed(api, tenant)[0]["actor"]["type"] == "service"
