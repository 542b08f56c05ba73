"""How each operation of the API is called, for the access matrix: one line each. A new operation is added here.

An entry is right when a key with the operation's required scopes and no others gets `status`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models.functions import Now

from jobservice import ids
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import Job, LiveJob
from tenants.api_keys import create_api_key
from tenants.context import tenant_tx
from tests.factories import Tenant, make_job


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


def _make_api_key(tenant: Tenant) -> str:
    with tenant_tx(tenant.id):
        return ids.show_id(ids.API_KEY, create_api_key(tenant.id, name="theirs", scopes=["keys:write"])[0])


def _make_ended_job(tenant: Tenant) -> str:
    shown = str(make_job(tenant, queue="theirs")["id"])
    job_id = ids.parse_id(ids.JOB, shown)
    assert job_id is not None
    LiveJob.objects.filter(job_id=job_id).delete()
    Job.objects.filter(id=job_id).update(final_state="cancelled", finished_at=Now(), end_event_id=ids.new_id())
    return shown


JOB = Source(lambda tenant: str(make_job(tenant, queue="theirs")["id"]), lambda: ids.show_id(ids.JOB, ids.new_id()))
ENDED_JOB = Source(_make_ended_job, JOB.unknown)
JOB_TYPE = Source(_make_job_type, lambda: f"type-{ids.new_id().hex}")
API_KEY = Source(_make_api_key, lambda: ids.show_id(ids.API_KEY, ids.new_id()))
QUEUE = Source(lambda tenant: str(make_job(tenant, queue="theirs")["queue"]), lambda: "nobodys")

ENTRIES: Mapping[str, Entry] = {
    "GET v1/jobs": Entry(query_ids={"type": JOB_TYPE, "queue": QUEUE}),
    "POST v1/jobs": Entry(201, body={"type": "echo"}, body_ids=((JOB_TYPE, lambda name: {"type": name}),)),
    "POST v1/jobs/bulk": Entry(
        body={"mode": "partial", "jobs": [{"type": "echo"}]},
        body_ids=((JOB_TYPE, lambda name: {"mode": "partial", "jobs": [{"type": name}]}),),
    ),
    "GET v1/jobs/<str:job_id>": Entry(ids={"job_id": JOB}),
    "PATCH v1/jobs/<str:job_id>": Entry(ids={"job_id": JOB}, body={"priority": 1}),
    "DELETE v1/jobs/<str:job_id>": Entry(204, ids={"job_id": ENDED_JOB}),
    "GET v1/jobs/<str:job_id>/attempts": Entry(ids={"job_id": JOB}),
    "GET v1/jobs/<str:job_id>/events": Entry(ids={"job_id": JOB}),
    "GET v1/job-types": Entry(),
    "GET v1/job-types/<str:name>": Entry(ids={"name": JOB_TYPE}),
    "PUT v1/job-types/<str:name>": Entry(ids={"name": JOB_TYPE}, body={"executor": "handler", "handler": "echo"}),
    "DELETE v1/job-types/<str:name>": Entry(204, ids={"name": JOB_TYPE}),
    "GET v1/signing-secrets/default": Entry(),
    "GET v1/api-keys": Entry(),
    "POST v1/api-keys": Entry(201, body={"name": "a key", "scopes": ["keys:write"]}),
    "GET v1/api-keys/<str:key_id>": Entry(ids={"key_id": API_KEY}),
    "DELETE v1/api-keys/<str:key_id>": Entry(204, ids={"key_id": API_KEY}),
    "POST v1/api-keys/<str:key_id>/rotate": Entry(ids={"key_id": API_KEY}, body={}),
    "GET v1/tenant": Entry(),
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
