"""Every operation that changes something is written down, by whom, or is listed with a reason; none tells a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.views import PublicView
from jobservice import ids
from tenants.api_keys import SCOPES
from tenants.audit_checks import verify_chain
from tenants.models import ApiKey, AuditEvent
from tests.api.keys import make_key
from tests.factories import Tenant
from tests.security.access_entries import ADDRESSED, ENTRIES, QUEUE
from tests.security.audit_entries import AUDITED, UNAUDITED
from tests.security.test_access_matrix import ALL, call, own_ids

pytestmark = pytest.mark.django_db
CHANGING = ("POST ", "PUT ", "PATCH ", "DELETE ")


def events_since(tenant: Tenant, seq: int) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(tenant_id=tenant.id, seq__gt=seq).order_by("seq"))


def last_seq(tenant: Tenant) -> int:
    return AuditEvent.objects.filter(tenant_id=tenant.id).order_by("-seq").values_list("seq", flat=True)[0]


def unlisted(names: Any) -> set[str]:
    """Operations that change something and are neither audited nor excused."""
    return {name for name in names if name.startswith(CHANGING) and not (name in AUDITED) ^ (name in UNAUDITED)}


def test_every_operation_that_changes_something_is_written_down_or_excused() -> None:
    assert unlisted(name for name, view in ALL.items() if not issubclass(view, PublicView)) == set()
    assert {name.partition("?")[0] for name in [*AUDITED, *UNAUDITED]} <= set(ALL)


def test_an_operation_without_an_entry_would_be_found() -> None:
    assert unlisted([*ALL, "POST v1/forgotten"]) == {"POST v1/forgotten"}


@pytest.mark.parametrize("entry", sorted(AUDITED))
def test_the_act_is_written_down_once_with_the_key_the_address_and_the_request(
    api: Any, tenant: Tenant, entry: str
) -> None:
    name, _, query = entry.partition("?")
    key = make_key(tenant, *SCOPES)
    values, before = own_ids(ENTRIES[name], tenant), last_seq(tenant)
    answer = call(api, name, key=key, ids=values, query=f"?{query}" if query else "")
    assert answer.status_code == ENTRIES[name].status, answer.content
    (event,) = events_since(tenant, before)
    assert event.action == AUDITED[entry]
    assert (event.actor_type, event.address) == ("api-key", "127.0.0.1")
    assert event.actor_id == ids.show_id(ids.API_KEY, ApiKey.objects.get(lookup_id=key.split("_")[2]).id)
    assert event.request_id == answer.headers["X-Request-Id"]
    if values:
        # The object, or that of which many are its objects.
        named = next(iter(values.values()))
        assert named in (event.object_id, json.loads(event.after or "{}").get("endpoint_id"))
    assert verify_chain(tenant.id).broken is None


@pytest.mark.parametrize("name", sorted(UNAUDITED))
def test_what_is_excused_writes_nothing_down(api: Any, tenant: Tenant, name: str) -> None:
    entry = {**ENTRIES, **ADDRESSED}[name]
    values, before = own_ids(entry, tenant), last_seq(tenant)
    answer = call(api, name, key=None if name in ADDRESSED else tenant.api_key, ids=values)
    assert answer.status_code == entry.status, answer.content
    assert events_since(tenant, before) == []


@pytest.mark.parametrize("name", sorted(name for name in ENTRIES if name.startswith("GET ")))
def test_plain_reads_write_nothing_down(api: Any, tenant: Tenant, name: str) -> None:
    values, before = own_ids(ENTRIES[name], tenant), last_seq(tenant)
    assert call(api, name, key=tenant.api_key, ids=values).status_code == 200
    expected = [AUDITED[name]] if name in AUDITED else []
    assert [event.action for event in events_since(tenant, before)] == expected


def test_a_queue_that_is_resumed_is_written_down(api: Any, tenant: Tenant) -> None:
    queue = QUEUE.make(tenant)
    for act in ("pause", "resume"):
        assert api.post(f"/v1/queues/{queue}/{act}", key=tenant.api_key).status_code == 200
    assert (events_since(tenant, 0)[-1].before, events_since(tenant, 0)[-1].after) == (
        '{"paused":true}',
        '{"paused":false}',
    )


@pytest.mark.parametrize("entry", sorted(entry for entry in AUDITED if not entry.startswith("GET ")))
def test_a_refused_act_is_not_written_down(api: Any, tenant: Tenant, other_tenant: Tenant, entry: str) -> None:
    values = own_ids(ENTRIES[entry], tenant)
    before, others = last_seq(tenant), last_seq(other_tenant)
    answers = [call(api, entry, key=make_key(other_tenant, "leases:write"), ids=values)]
    if values:
        answers.append(call(api, entry, key=other_tenant.api_key, ids=values, body={"nonsense": 1}))
    assert all(answer.status_code in (403, 404, 422) for answer in answers)
    assert events_since(tenant, before) == []
    assert [event.action for event in events_since(other_tenant, others)] == ["api-key.created"]  # make_key's own


SECRET = "CANARY-4f1c"


def test_no_secret_is_in_the_log(api: Any, tenant: Tenant) -> None:
    """Whatever is sealed, or shown once, and what stands in tags, is sent through every act that could take it."""
    target = {"url": f"http://127.0.0.1:9/{SECRET}", "headers": {"X-Token": SECRET}}
    shown = [tenant.api_key]

    def do(method: str, path: str, body: Any = None) -> Any:
        answer = api.call(method, path, body, tenant.api_key, {})
        assert answer.status_code < 300, answer.content
        return answer.json() if answer.content else None

    job = do("POST", "/v1/jobs", {"type": "echo", "payload": SECRET, "metadata": SECRET, "delay_seconds": 99})
    do("PATCH", f"/v1/jobs/{job['id']}", {"tags": {"customer": SECRET}})
    do("GET", f"/v1/jobs/{job['id']}?include=payload,metadata,result")
    schema = {"description": SECRET}
    for url in (target["url"], f"{target['url']}/2"):
        http = {"url": url, "headers": target["headers"]}
        do("PUT", "/v1/job-types/t.own", {"executor": "http", "http": http, "payload_schema": schema})
    http = {"url": target["url"], "signing": {"own": True}}
    shown.append(do("PUT", "/v1/job-types/t.own", {"executor": "http", "http": http})["http"]["signing"]["secret"])
    shown.append(do("POST", "/v1/job-types/t.own/rotate-secret", {})["http"]["signing"]["secret"])
    do("DELETE", "/v1/job-types/t.own")
    endpoint = do("POST", "/v1/webhook-endpoints", {**target, "signing": {"own": True}})
    shown.append(endpoint["signing"]["secret"])
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    do("PATCH", path, {"url": f"{target['url']}/2", "headers": {"X-Other": SECRET}})
    shown.append(do("POST", f"{path}/rotate-secret", {})["signing"]["secret"])
    do("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00Z"})
    do("DELETE", path)
    key = do("POST", "/v1/api-keys", {"name": "k", "scopes": ["jobs:read"]})
    shown += [key["key"], do("POST", f"/v1/api-keys/{key['id']}/rotate", {"overlap_seconds": 60})["key"]]
    shown += [do("GET", "/v1/signing-secrets/default")["secret"]]
    shown += [do("POST", "/v1/signing-secrets/default/rotate", {})["secret"]]
    do("POST", "/v1/jobs/bulk-actions", {"action": "cancel", "filter": {"tag": {"customer": SECRET}}})

    events = events_since(tenant, 0)
    assert len(events) == 19
    text = " ".join(str(vars(event)) for event in events)
    assert '"url":"changed"' in text
    assert '"http":"changed"' in text
    assert [secret for secret in (SECRET, *shown) if secret in text or secret.split("_")[-1] in text] == []
