"""Who is told of what: events fan out to a tenant's endpoints, are held while one takes none, and are never lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.errors import NotFound
from jobservice.ids import ENDPOINT, new_id, show_id
from jobservice.webhooks.deliveries import StartedDelivery, release_held_deliveries, start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from jobservice.webhooks.endpoint_spec import parse_endpoint, parse_endpoint_change
from jobservice.webhooks.endpoints import (
    EndpointView,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    find_endpoint,
    rotate_endpoint_secret,
    send_test_event,
)
from jobservice.webhooks.event_types import QUOTA_WARNING
from jobservice.webhooks.events import tell_tenant
from jobservice.webhooks.models import Delivery, DeliveryAttempt, Event, LiveDelivery, WebhookEndpoint
from tenants.context import tenant_tx
from tenants.data_keys import forget_opened_keys
from tenants.key_rotation import begin_rotation
from tenants.models import Blob
from tests.factories import Tenant, make_job
from tests.jobs import dispatching
from tests.roles import as_role
from workers.executors.deliveries import DELETED, DeliveryRun, Try, make_result, prepare_deliveries

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/events"
WORKER = new_id()


def make_endpoint(tenant: Tenant, **fields: Any) -> EndpointView:
    with as_role("web"):
        return create_endpoint(tenant.id, parse_endpoint({"url": URL, **fields}))


def change(tenant: Tenant, endpoint: EndpointView, **fields: Any) -> EndpointView:
    with as_role("web"):
        return change_endpoint(tenant.id, endpoint.id, parse_endpoint_change(fields))


def end_job(tenant: Tenant, kind: Any = "completed", **fields: Any) -> None:
    make_job(tenant, max_attempts=1, **fields)
    dispatching.record(*[dispatching.outcome_of(job, kind) for job in dispatching.start(dispatching.claim())])


def start() -> list[StartedDelivery]:
    with as_role("dispatcher"):
        refs = claim_deliveries(100, lease_seconds=30)
    with as_role("worker"):
        return start_deliveries(refs, worker_id=WORKER, lease_seconds=30)


def runs() -> list[DeliveryRun]:
    started = start()
    with as_role("worker"):
        return prepare_deliveries(started)


def record(*results: DeliveryResult) -> None:
    with as_role("worker"):
        record_deliveries(results)


def release() -> int:
    with as_role("dispatcher"):
        return release_held_deliveries()


def told(tenant: Tenant) -> list[tuple[Any, str]]:
    """(endpoint, type of the event) of every delivery of the tenant, in order."""
    types = dict(Event.objects.filter(tenant_id=tenant.id).values_list("id", "type"))
    rows = Delivery.objects.filter(tenant_id=tenant.id).order_by("id")
    return [(row.endpoint_id, types[row.event_id]) for row in rows]


@pytest.fixture
def endpoint(tenant: Tenant) -> EndpointView:
    return make_endpoint(tenant)


def test_an_end_is_told_to_every_endpoint_of_the_tenant_and_to_no_other(tenant: Tenant, other_tenant: Tenant) -> None:
    first, second = make_endpoint(tenant), make_endpoint(tenant)
    make_endpoint(other_tenant)
    end_job(tenant)
    assert sorted(told(tenant)) == sorted([(first.id, "job.completed"), (second.id, "job.completed")])
    assert told(other_tenant) == []


def test_an_endpoint_is_told_of_the_events_queues_and_types_it_asked_for(tenant: Tenant) -> None:
    failed = make_endpoint(tenant, events=["job.discarded"])
    mails = make_endpoint(tenant, queues=["mails"])
    echoes = make_endpoint(tenant, types=["echo"], events=["*"])
    end_job(tenant, "failed", type="sleep", payload={"seconds": 0})
    assert told(tenant) == [(failed.id, "job.discarded")]
    end_job(tenant, queue="mails", type="sleep", payload={"seconds": 0})
    assert told(tenant)[1:] == [(mails.id, "job.completed")]
    end_job(tenant)
    assert told(tenant)[2:] == [(echoes.id, "job.completed")]


def test_what_is_of_no_job_passes_the_filters_of_queues_and_types(tenant: Tenant) -> None:
    asked = make_endpoint(tenant, events=[QUOTA_WARNING], queues=["mails"], types=["echo"])
    make_endpoint(tenant, events=["job.completed"])
    with as_role("web"), tenant_tx(tenant.id):
        tell_tenant(tenant.id, QUOTA_WARNING, {"quota": {"name": "open_jobs"}})
    assert told(tenant) == [(asked.id, QUOTA_WARNING)]
    (run,) = runs()
    assert run.call is not None
    assert b'"data":{"quota":{"name":"open_jobs"}}' in run.call.body


def test_a_story_of_a_job_that_no_endpoint_can_ask_for_is_told_to_none(tenant: Tenant, endpoint: EndpointView) -> None:
    with as_role("web"), tenant_tx(tenant.id):
        tell_tenant(tenant.id, "job.updated", {})
    assert told(tenant) == []


def test_a_delivery_goes_to_the_endpoints_address_with_its_headers_and_number(tenant: Tenant) -> None:
    make_endpoint(tenant, headers={"X-Team": "blue"})
    end_job(tenant, metadata={"k": 1})
    (run,) = runs()
    assert run.call is not None
    assert (run.call.url, dict(run.call.headers), run.call.scheme) == (URL, {"X-Team": "blue"}, "v1")
    assert b'"seq":1,"metadata":{"k":1}' in run.call.body


def test_a_paused_endpoint_loses_nothing_and_is_told_when_it_goes_on(tenant: Tenant, endpoint: EndpointView) -> None:
    end_job(tenant)
    change(tenant, endpoint, status="paused")
    end_job(tenant)
    assert sorted(LiveDelivery.objects.values_list("state", flat=True)) == ["held", "pending"]
    assert start() == [], "the one that was made before the pause is held when it is its turn"
    assert set(LiveDelivery.objects.values_list("state", flat=True)) == {"held"}
    assert release() == 0
    change(tenant, endpoint, status="enabled")
    assert release() == 2
    assert len(start()) == 2


def test_no_attempt_is_counted_of_what_was_only_held(tenant: Tenant, endpoint: EndpointView) -> None:
    end_job(tenant)
    change(tenant, endpoint, status="paused")
    start()
    change(tenant, endpoint, status="enabled")
    release()
    (started,) = start()
    assert (started.attempt, started.tries) == (1, 1)


def test_410_disables_the_endpoint_with_a_reason_and_keeps_the_event_for_later(
    tenant: Tenant, endpoint: EndpointView
) -> None:
    watcher = make_endpoint(tenant, events=["endpoint.disabled"])
    end_job(tenant)
    (run,) = runs()
    record(make_result(run, Try(status=410)))
    row = WebhookEndpoint.objects.get(id=endpoint.id)
    assert (row.status, row.status_reason, row.revision) == ("disabled", "gone", 2)
    assert LiveDelivery.objects.get(delivery_id=run.delivery.delivery_id).state == "held"
    assert (watcher.id, "endpoint.disabled") in told(tenant)
    change(tenant, endpoint, status="enabled")
    release()
    assert run.delivery.delivery_id in {started.delivery_id for started in start()}


def test_five_days_of_only_failures_disable_an_endpoint_and_one_success_in_between_does_not(
    tenant: Tenant, endpoint: EndpointView
) -> None:
    def fail() -> None:
        LiveDelivery.objects.filter(state="waiting").update(state="pending", due_at=Now())
        record(*[make_result(run, Try(status=500)) for run in runs()])

    def state() -> tuple[str, bool]:
        row = WebhookEndpoint.objects.get(id=endpoint.id)
        return row.status, row.failing_since is not None

    end_job(tenant)
    fail()
    assert state() == ("enabled", True)
    long_ago = Now() - timedelta(days=5, seconds=1)
    WebhookEndpoint.objects.update(failing_since=long_ago)
    end_job(tenant)
    (new,) = [run for run in runs() if run.delivery.attempt == 1]
    record(make_result(new, Try(status=200)))
    assert state() == ("enabled", False)
    fail()
    WebhookEndpoint.objects.update(failing_since=long_ago)
    fail()
    assert state() == ("disabled", True)
    assert WebhookEndpoint.objects.get().status_reason == "failing"


def test_what_was_on_its_way_to_a_deleted_endpoint_has_failed(tenant: Tenant, endpoint: EndpointView) -> None:
    end_job(tenant)
    change(tenant, endpoint, status="paused")
    end_job(tenant)
    with as_role("web"):
        delete_endpoint(tenant.id, endpoint.id)
    release()
    gone = runs()
    assert [run.call for run in gone] == [None, None]
    record(*[make_result(run, Try(error_class=DELETED)) for run in gone])
    assert set(Delivery.objects.values_list("final_state", flat=True)) == {"failed"}
    assert not LiveDelivery.objects.exists()


def test_a_test_event_goes_to_the_one_endpoint_whatever_it_asked_for(tenant: Tenant) -> None:
    make_endpoint(tenant)
    quiet = make_endpoint(tenant, events=["job.discarded"])
    with as_role("web"):
        send_test_event(tenant.id, quiet.id)
    assert told(tenant) == [(quiet.id, "webhook.test")]
    (run,) = runs()
    assert run.call is not None
    assert show_id(ENDPOINT, quiet.id).encode() in run.call.body


def test_the_beginning_of_an_answer_is_kept_sealed(tenant: Tenant, endpoint: EndpointView) -> None:
    end_job(tenant)
    (run,) = runs()
    result = make_result(run, Try(status=500, body=b"no such table: users" + b"x" * 5000))
    assert result.answer is not None
    assert b"no such table" not in result.answer.sealed
    assert len(result.answer.sealed) < 1200


def test_an_answer_that_was_sealed_before_a_change_of_the_key_is_not_stored(
    tenant: Tenant, endpoint: EndpointView
) -> None:
    end_job(tenant)
    end_job(tenant)
    before, after = runs()
    late = make_result(before, Try(status=500, body=b"no"))
    begin_rotation(tenant.id)
    forget_opened_keys()
    record(late, make_result(after, Try(status=500, body=b"no")))
    kept = dict(DeliveryAttempt.objects.values_list("delivery_id", "answer_id"))
    assert kept[before.delivery.delivery_id] is None
    assert set(Blob.objects.filter(kind="answer").values_list("id", flat=True)) == {kept[after.delivery.delivery_id]}


def test_an_endpoints_own_secret_signs_alone_and_a_rotated_one_beside_it(tenant: Tenant) -> None:
    own = make_endpoint(tenant, signing={"scheme": "v1", "own": True})
    end_job(tenant)
    (run,) = runs()
    assert run.call is not None
    assert run.call.secrets == (own.secret,)
    with as_role("web"):
        rotated = rotate_endpoint_secret(tenant.id, own.id, overlap_seconds=3600)
    end_job(tenant)
    (run,) = runs()
    assert run.call is not None
    assert run.call.secrets == (rotated.secret, own.secret)


def test_another_tenants_endpoint_is_not_there(tenant: Tenant, other_tenant: Tenant) -> None:
    foreign = make_endpoint(other_tenant)
    with as_role("web"):
        assert find_endpoint(tenant.id, foreign.id) is None
        for act in (
            lambda: change_endpoint(tenant.id, foreign.id, {"status": "paused"}),
            lambda: delete_endpoint(tenant.id, foreign.id),
            lambda: rotate_endpoint_secret(tenant.id, foreign.id, overlap_seconds=0),
            lambda: send_test_event(tenant.id, foreign.id),
        ):
            with pytest.raises(NotFound):
                act()


def test_a_failed_attempt_is_told_only_where_an_endpoint_asked_for_it(tenant: Tenant, other_tenant: Tenant) -> None:
    asked = make_endpoint(tenant, events=["job.retrying"])
    make_endpoint(other_tenant, events=["job.completed"])
    for owner in (tenant, other_tenant):
        make_job(owner, max_attempts=2)
    dispatching.record(*[dispatching.outcome_of(job, "failed") for job in dispatching.start(dispatching.claim())])
    assert told(tenant) == [(asked.id, "job.retrying")]
    assert not Event.objects.filter(tenant_id=other_tenant.id).exists()
    (run,) = runs()
    assert run.call is not None
    assert b'"retry_in_seconds":' in run.call.body
    assert b'"state":"retryable"' in run.call.body
