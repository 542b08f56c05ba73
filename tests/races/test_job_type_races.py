"""New job types at once, with real threads, connections and commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobservice.errors import QuotaExceeded
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import JobType
from jobservice.preconditions import Precondition, PreconditionFailed
from tests.factories import Tenant

Race = Callable[..., list[Any]]


def put(tenant: Tenant, name: str, *, precondition: Precondition | None = None) -> str:
    spec = {"executor": "handler", "handler": "echo"}
    try:
        put_job_type(tenant.id, name, spec, max_types=3, precondition=precondition)
    except (QuotaExceeded, PreconditionFailed):
        return "refused"
    return "made"


def test_types_made_at_once_do_not_share_the_last_place_of_a_quota(racing_tenant: Tenant, race: Race) -> None:
    outcomes = race("web", *[lambda number=number: put(racing_tenant, f"type-{number}") for number in range(8)])
    assert sorted(outcomes) == ["made"] * 3 + ["refused"] * 5
    assert JobType.objects.filter(tenant_id=racing_tenant.id).count() == 3


def test_one_type_put_at_once_is_made_once(racing_tenant: Tenant, race: Race) -> None:
    assert race("web", *[lambda: put(racing_tenant, "mine")] * 4) == ["made"] * 4
    assert JobType.objects.get(tenant_id=racing_tenant.id).version == 4


def test_only_one_of_several_at_once_makes_what_is_not_there(racing_tenant: Tenant, race: Race) -> None:
    outcomes = race("web", *[lambda: put(racing_tenant, "mine", precondition=lambda found: found is None)] * 4)
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert JobType.objects.get(tenant_id=racing_tenant.id).version == 1
