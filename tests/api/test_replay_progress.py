"""A replay in the background: batch by batch, aborted, carried on after a death; and which keys may follow it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.errors import KeyProviderAway
from jobservice.jobs import bulk_actions, bulk_kinds, bulk_turns
from jobservice.jobs.bulk_turns import MAX_STALLS, lease_next_action, serve_turn
from jobservice.jobs.models import BulkAction
from jobservice.webhooks.endpoints import EndpointView
from jobservice.webhooks.models import Delivery, LiveDelivery
from tests.api.bulk_actions import ask, counts, dying_at, serve_all
from tests.api.keys import make_key, problem
from tests.api.replays import make_deliveries, replay, under_way
from tests.factories import Tenant, make_job
from tests.roles import as_role
from tests.webhooks.test_endpoints import make_endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every action goes to the background, a turn acts on two."""
    monkeypatch.setattr(bulk_actions, "SMALL_JOBS", 0)
    monkeypatch.setattr(bulk_turns, "BATCH_JOBS", 2)


@pytest.fixture
def endpoint(tenant: Tenant) -> EndpointView:
    return make_endpoint(tenant)


def read(api: Any, tenant: Tenant, shown: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()
    return found


def take_turn() -> None:
    with as_role("web"):
        lease = lease_next_action()
        assert lease is not None
        serve_turn(lease, max_seconds=0.0)


def test_while_the_keys_are_out_of_reach_it_waits_and_skips_nothing(
    api: Any, tenant: Tenant, endpoint: EndpointView, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_deliveries(tenant, endpoint, count=1)
    shown = replay(api, tenant, endpoint).json()
    with monkeypatch.context() as away:
        away.setattr(bulk_turns, "are_keys_at_hand", lambda _: False)
        for _ in range(MAX_STALLS + 2):
            take_turn()
    assert counts(read(api, tenant, shown)) == ("running", 1, 0, 0)
    # Nor does one that goes out of reach in the middle.
    with monkeypatch.context() as away:
        away.setattr(bulk_kinds, "retry_delivery", _fail)
        with pytest.raises(KeyProviderAway):
            take_turn()
    assert counts(read(api, tenant, shown)) == ("running", 1, 0, 0)
    BulkAction.objects.update(holder=None, leased_until=None)
    take_turn()
    assert counts(read(api, tenant, shown)) == ("running", 1, 1, 0)


def _fail(*_: Any, **__: Any) -> None:
    raise KeyProviderAway("Vault is away.")


def test_it_comes_forward_batch_by_batch_the_oldest_first(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    failed = make_deliveries(tenant, endpoint, count=5)
    answer = replay(api, tenant, endpoint)
    shown = answer.json()
    assert (answer.status_code, counts(shown)) == (202, ("running", 5, 0, 0))
    for done in (2, 4, 5):
        take_turn()
        assert counts(read(api, tenant, shown)) == ("running", 5, done, 0)
        assert sorted(under_way()) == failed[:done]
    take_turn()
    assert counts(read(api, tenant, shown)) == ("completed", 5, 5, 0)


def test_what_fails_after_it_was_made_is_not_its_business(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    failed = make_deliveries(tenant, endpoint, count=2)
    shown = replay(api, tenant, endpoint, until="9000-01-01T00:00:00Z").json()
    make_deliveries(tenant, endpoint)
    serve_all()
    assert counts(read(api, tenant, shown)) == ("completed", 2, 2, 0)
    assert sorted(under_way()) == failed


def test_an_abort_leaves_the_rest_as_it_is(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    failed = make_deliveries(tenant, endpoint, count=5)
    shown = replay(api, tenant, endpoint).json()
    take_turn()
    answer = api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=tenant.api_key)
    assert (answer.status_code, counts(answer.json())) == (200, ("aborted", 5, 2, 0))
    assert serve_all() == 0
    assert sorted(under_way()) == failed[:2]
    assert set(Delivery.objects.filter(id__in=failed[2:]).values_list("final_state", flat=True)) == {"failed"}


@pytest.mark.parametrize("dies", ["before the step is noted", "before the next step"])
def test_another_goes_on_where_a_process_died_and_sends_nothing_twice(
    api: Any, tenant: Tenant, endpoint: EndpointView, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    failed = make_deliveries(tenant, endpoint, count=5)
    shown = replay(api, tenant, endpoint).json()
    with as_role("web"):
        lease = lease_next_action()
    assert lease is not None
    where = "_act" if dies == "before the next step" else "lease_end"
    with monkeypatch.context() as patch, as_role("web"):
        patch.setattr(bulk_turns, where, dying_at(4, getattr(bulk_turns, where)))
        with pytest.raises(KeyboardInterrupt):
            serve_turn(lease, max_seconds=60.0)
    assert counts(read(api, tenant, shown)) == ("running", 5, 3, 0)
    assert sorted(under_way()) == failed[:3]
    # What was sent again has failed again by now: to be sent a third time, nothing but the note is in the way.
    LiveDelivery.objects.all().delete()
    Delivery.objects.filter(id__in=failed).update(final_state="failed", finished_at=Now())
    BulkAction.objects.update(leased_until=Now() - timedelta(seconds=1))
    serve_all()
    assert counts(read(api, tenant, shown)) == ("completed", 5, 5, 0)
    assert sorted(under_way()) == failed[3:]


def test_other_tenants_get_their_turns(api: Any, tenant: Tenant, other_tenant: Tenant, endpoint: EndpointView) -> None:
    make_deliveries(tenant, endpoint, count=5)
    large = replay(api, tenant, endpoint).json()
    for _ in range(2):
        make_job(other_tenant)
    theirs = ask(api, other_tenant, "cancel", type="echo").json()
    for _ in range(2):
        take_turn()
    assert (counts(read(api, tenant, large))[2], counts(read(api, other_tenant, theirs))[2]) == (2, 2)


def test_a_key_follows_what_its_scopes_are_about(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    make_deliveries(tenant, endpoint)
    make_job(tenant)
    replayed, cancelled = replay(api, tenant, endpoint).json(), ask(api, tenant, "cancel", type="echo").json()
    webhooks, jobs = make_key(tenant, "webhooks:write"), make_key(tenant, "jobs:read", "jobs:write")
    for key, reached, beyond in ((webhooks, replayed, cancelled), (jobs, cancelled, replayed)):
        assert [one["id"] for one in api.get("/v1/bulk-actions", key=key).json()["data"]] == [reached["id"]]
        assert api.get(f"/v1/bulk-actions/{reached['id']}", key=key).status_code == 200
        problem(api.get(f"/v1/bulk-actions/{beyond['id']}", key=key), 404, "not-found")
        problem(api.post(f"/v1/bulk-actions/{beyond['id']}/abort", key=key), 404, "not-found")
    assert {one.status for one in BulkAction.objects.all()} == {"running"}
    for key, reached in ((webhooks, replayed), (jobs, cancelled)):
        assert api.post(f"/v1/bulk-actions/{reached['id']}/abort", key=key).json()["status"] == "aborted"
    both = make_key(tenant, "jobs:read", "webhooks:write")
    listed = api.get("/v1/bulk-actions", key=both).json()["data"]
    assert [one["id"] for one in listed] == [cancelled["id"], replayed["id"]]


def test_who_may_only_read_jobs_aborts_nothing(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    make_deliveries(tenant, endpoint)
    shown = replay(api, tenant, endpoint).json()
    refused = api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=make_key(tenant, "jobs:read"))
    assert "jobs:write" in problem(refused, 403, "insufficient-scope")["detail"]
    # With the right to replay, but to act on no job.
    job = ask(api, tenant, "cancel", type="echo").json()
    key = make_key(tenant, "jobs:read", "webhooks:write")
    problem(api.post(f"/v1/bulk-actions/{job['id']}/abort", key=key), 404, "not-found")
    assert {one.status for one in BulkAction.objects.all()} == {"running"}


def test_a_key_limited_to_queues_sees_no_replay(api: Any, tenant: Tenant, endpoint: EndpointView) -> None:
    make_deliveries(tenant, endpoint)
    shown = replay(api, tenant, endpoint).json()
    key = make_key(tenant, "jobs:read", "jobs:write", "webhooks:write", queues=["default"])
    assert api.get("/v1/bulk-actions", key=key).json()["data"] == []
    problem(api.get(f"/v1/bulk-actions/{shown['id']}", key=key), 404, "not-found")
    problem(api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=key), 404, "not-found")
    assert BulkAction.objects.get().status == "running"
