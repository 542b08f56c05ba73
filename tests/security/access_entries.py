"""How each operation of the API is called, for the access matrix: one line each. A new operation is added here.

An entry is right when a key with the operation's required scopes and no others gets `status`.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from jobservice import ids
from jobservice.jobs.bulk_action_request import BulkActionRequest
from jobservice.jobs.bulk_actions import Lease, make_bulk_action
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.completion_token import RunRef, make_token
from jobservice.jobs.error_groups import COLUMN, TABLE
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import ErrorGroup
from jobservice.webhooks.endpoint_spec import parse_endpoint
from jobservice.webhooks.endpoints import create_endpoint, send_test_event
from tenants.api_keys import create_api_key
from tenants.context import tenant_tx
from tenants.data_keys import seal_column
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, live, start


@dataclass(frozen=True, slots=True)
class Source:
    """Where an id comes from: `make` makes an object of a tenant, `unknown` an id that nobody has."""

    make: Callable[[Tenant], str]
    unknown: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Entry:
    """`ids`: of each parameter of the path. `query_ids` and `body_ids`: where else an id can go."""

    status: int = 200
    ids: Mapping[str, Source] = field(default_factory=dict)
    body: Any = None
    query_ids: Mapping[str, Source] = field(default_factory=dict)
    body_ids: tuple[tuple[Source, Callable[[str], Any]], ...] = ()


def _make_job_type(tenant: Tenant) -> str:
    name = f"type-of-{tenant.name}"
    put_job_type(tenant.id, name, {"executor": "handler", "handler": "echo"})
    return name


def _make_signing_type(tenant: Tenant) -> str:
    """One with a secret of its own."""
    name = f"signed-by-{tenant.name}"
    put_job_type(
        tenant.id, name, {"executor": "http", "http": {"url": "http://127.0.0.1:9/", "signing": {"own": True}}}
    )
    return name


def _make_api_key(tenant: Tenant) -> str:
    with tenant_tx(tenant.id):
        return ids.show_id(ids.API_KEY, create_api_key(tenant.id, name="theirs", scopes=["keys:write"])[0])


def _make_ended_job(tenant: Tenant) -> str:
    shown = str(make_job(tenant, queue="theirs")["id"])
    job_id = ids.parse_id(ids.JOB, shown)
    assert job_id is not None
    cancel_job(tenant.id, job_id)
    return shown


def _make_endpoint(tenant: Tenant) -> str:
    return ids.show_id(ids.ENDPOINT, create_endpoint(tenant.id, parse_endpoint({"url": "http://127.0.0.1:9/"})).id)


def _make_delivery(tenant: Tenant) -> str:
    """One that waits for its first try."""
    endpoint = create_endpoint(tenant.id, parse_endpoint({"url": "http://127.0.0.1:9/"}))
    return ids.show_id(ids.DELIVERY, send_test_event(tenant.id, endpoint.id))


def _make_bulk_action(tenant: Tenant) -> str:
    """One that nobody has served yet."""
    made = make_bulk_action(
        tenant.id, BulkActionRequest("cancel", JobFilters(state="scheduled", queue="theirs"), 10), queues=None
    )
    assert isinstance(made, Lease)
    return ids.show_id(ids.BULK_ACTION, made.action_id)


def _make_error_group(tenant: Tenant) -> str:
    """Put there as it is folded: a run that fails for it would claim everybody's jobs."""
    group_id = ids.new_id()
    now = timezone.now()
    sealed = seal_column(tenant.id, table=TABLE, column=COLUMN, row_id=group_id, plaintext=b"it broke")
    ErrorGroup.objects.create(
        tenant_id=tenant.id,
        id=group_id,
        type="echo",
        code="no",
        message_sealed=sealed,
        runs=1,
        first_seen_at=now,
        last_seen_at=now,
    )
    return ids.show_id(ids.ERROR_GROUP, group_id)


def make_run_token(tenant: Tenant) -> str:
    """The token of a run that is under way."""
    job = make_job(tenant, queue="theirs")
    start(claim())
    return make_token(RunRef(tenant.id, job_uuid(job), live(job).epoch))


def _unknown_token() -> str:
    """Well formed, and of nobody."""
    return base64.urlsafe_b64encode(b"\x01" + secrets.token_bytes(72)).rstrip(b"=").decode()


JOB = Source(lambda tenant: str(make_job(tenant, queue="theirs")["id"]), lambda: ids.show_id(ids.JOB, ids.new_id()))
ENDED_JOB = Source(_make_ended_job, JOB.unknown)
JOB_TYPE = Source(_make_job_type, lambda: f"type-{ids.new_id().hex}")
SIGNING_TYPE = Source(_make_signing_type, JOB_TYPE.unknown)
API_KEY = Source(_make_api_key, lambda: ids.show_id(ids.API_KEY, ids.new_id()))
BULK_ACTION = Source(_make_bulk_action, lambda: ids.show_id(ids.BULK_ACTION, ids.new_id()))
ENDPOINT = Source(_make_endpoint, lambda: ids.show_id(ids.ENDPOINT, ids.new_id()))
DELIVERY = Source(_make_delivery, lambda: ids.show_id(ids.DELIVERY, ids.new_id()))
ERROR_GROUP = Source(_make_error_group, lambda: ids.show_id(ids.ERROR_GROUP, ids.new_id()))
QUEUE = Source(
    lambda tenant: str(make_job(tenant, queue=f"queue-of-{tenant.name}")["queue"]), lambda: f"queue-{ids.new_id().hex}"
)

RUN = Source(make_run_token, _unknown_token)

ENTRIES: Mapping[str, Entry] = {
    "GET v1/jobs": Entry(query_ids={"type": JOB_TYPE, "queue": QUEUE, "error_group": ERROR_GROUP}),
    "POST v1/jobs": Entry(201, body={"type": "echo"}, body_ids=((JOB_TYPE, lambda name: {"type": name}),)),
    "POST v1/jobs/bulk": Entry(
        body={"mode": "partial", "jobs": [{"type": "echo"}]},
        body_ids=((JOB_TYPE, lambda name: {"mode": "partial", "jobs": [{"type": name}]}),),
    ),
    "POST v1/jobs/bulk-actions": Entry(
        body={"action": "cancel", "filter": {"state": "available"}},
        body_ids=(
            (JOB_TYPE, lambda name: {"action": "cancel", "filter": {"type": name}}),
            (QUEUE, lambda name: {"action": "cancel", "filter": {"queue": name}}),
            (ERROR_GROUP, lambda name: {"action": "retry", "filter": {"error_group": name}}),
        ),
    ),
    "GET v1/bulk-actions": Entry(),
    "GET v1/bulk-actions/<str:bulk_action_id>": Entry(ids={"bulk_action_id": BULK_ACTION}),
    "POST v1/bulk-actions/<str:bulk_action_id>/abort": Entry(ids={"bulk_action_id": BULK_ACTION}),
    "GET v1/jobs/<str:job_id>": Entry(ids={"job_id": JOB}),
    "PATCH v1/jobs/<str:job_id>": Entry(ids={"job_id": JOB}, body={"priority": 1}),
    "DELETE v1/jobs/<str:job_id>": Entry(204, ids={"job_id": ENDED_JOB}),
    "POST v1/jobs/<str:job_id>/cancel": Entry(ids={"job_id": JOB}),
    "POST v1/jobs/<str:job_id>/retry": Entry(ids={"job_id": ENDED_JOB}),
    "GET v1/jobs/<str:job_id>/attempts": Entry(ids={"job_id": JOB}),
    "GET v1/jobs/<str:job_id>/events": Entry(ids={"job_id": JOB}),
    "GET v1/job-types": Entry(),
    "GET v1/job-types/<str:name>": Entry(ids={"name": JOB_TYPE}),
    "PUT v1/job-types/<str:name>": Entry(ids={"name": JOB_TYPE}, body={"executor": "handler", "handler": "echo"}),
    "DELETE v1/job-types/<str:name>": Entry(204, ids={"name": JOB_TYPE}),
    "POST v1/job-types/<str:name>/rotate-secret": Entry(ids={"name": SIGNING_TYPE}, body={}),
    "GET v1/queues": Entry(),
    "GET v1/queues/<str:queue>": Entry(ids={"queue": QUEUE}),
    "PUT v1/queues/<str:queue>": Entry(ids={"queue": QUEUE}, body={"concurrency": 2}),
    "PATCH v1/queues/<str:queue>": Entry(ids={"queue": QUEUE}, body={"concurrency": 2}),
    "POST v1/queues/<str:queue>/pause": Entry(ids={"queue": QUEUE}),
    "POST v1/queues/<str:queue>/resume": Entry(ids={"queue": QUEUE}),
    "GET v1/statistics": Entry(query_ids={"type": JOB_TYPE, "queue": QUEUE}),
    "GET v1/error-groups": Entry(query_ids={"type": JOB_TYPE}),
    "GET v1/error-groups/<str:error_group_id>": Entry(ids={"error_group_id": ERROR_GROUP}),
    "PATCH v1/error-groups/<str:error_group_id>": Entry(
        ids={"error_group_id": ERROR_GROUP}, body={"state": "resolved"}
    ),
    "GET v1/webhook-endpoints": Entry(),
    "POST v1/webhook-endpoints": Entry(
        201,
        body={"url": "http://127.0.0.1:9/"},
        body_ids=(
            (JOB_TYPE, lambda name: {"url": "http://127.0.0.1:9/", "types": [name]}),
            (QUEUE, lambda name: {"url": "http://127.0.0.1:9/", "queues": [name]}),
        ),
    ),
    "GET v1/webhook-endpoints/<str:endpoint_id>": Entry(ids={"endpoint_id": ENDPOINT}),
    "PATCH v1/webhook-endpoints/<str:endpoint_id>": Entry(ids={"endpoint_id": ENDPOINT}, body={"status": "paused"}),
    "DELETE v1/webhook-endpoints/<str:endpoint_id>": Entry(204, ids={"endpoint_id": ENDPOINT}),
    "POST v1/webhook-endpoints/<str:endpoint_id>/rotate-secret": Entry(ids={"endpoint_id": ENDPOINT}, body={}),
    "POST v1/webhook-endpoints/<str:endpoint_id>/test": Entry(202, ids={"endpoint_id": ENDPOINT}),
    "GET v1/webhook-endpoints/<str:endpoint_id>/deliveries": Entry(ids={"endpoint_id": ENDPOINT}),
    "POST v1/webhook-endpoints/<str:endpoint_id>/replay": Entry(
        ids={"endpoint_id": ENDPOINT}, body={"since": "2020-01-01T00:00:00Z"}
    ),
    "POST v1/deliveries/<str:delivery_id>/retry": Entry(ids={"delivery_id": DELIVERY}),
    "GET v1/event-types": Entry(),
    "GET v1/signing-secrets/default": Entry(),
    "POST v1/signing-secrets/default/rotate": Entry(body={}),
    "GET v1/api-keys": Entry(),
    "POST v1/api-keys": Entry(201, body={"name": "a key", "scopes": ["keys:write"]}),
    "GET v1/api-keys/<str:key_id>": Entry(ids={"key_id": API_KEY}),
    "DELETE v1/api-keys/<str:key_id>": Entry(204, ids={"key_id": API_KEY}),
    "POST v1/api-keys/<str:key_id>/rotate": Entry(ids={"key_id": API_KEY}, body={}),
    "GET v1/tenant": Entry(),
    "GET v1/usage": Entry(),
    "GET v1/audit-events": Entry(
        query_ids={"object": JOB, "actor": API_KEY},
    ),
}

# The address itself is the right to call it, whatever key comes along.
ADDRESSED: Mapping[str, Entry] = {
    "POST v1/completions/<str:token>": Entry(ids={"token": RUN}, body={"outcome": "completed", "result": 1}),
    "POST v1/completions/<str:token>/extend": Entry(ids={"token": RUN}, body={"seconds": 60}),
    "POST v1/completions/<str:token>/progress": Entry(ids={"token": RUN}, body={"percent": 40, "message": "going"}),
}

# Whoever asks gets an answer, and nothing in it is of any tenant.
PUBLIC = frozenset(
    {
        "GET v1/openapi.json",
        "GET docs",
        "GET docs/assets/<str:name>",
        "GET healthz",
        "GET readyz",
        "GET metrics",
        "GET docs/problems/<str:code>",
    }
)
