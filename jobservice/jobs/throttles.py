"""Throttles: an endpoint that answered 429 or 503 with `Retry-After` is left alone until then, and nobody else is.

1. `record` writes the throttle of the run's job type, in the transaction that writes what the run came to.
2. The claim parks the jobs of the type that it meets meanwhile (`claim_jobs.sql`): none of them uses up an attempt.
3. When the time is over, or the type is written again, the dispatcher lets them go on by rank: a few, then twice as
   many each second, until none is left.
A throttle is of one version of its type; written again, the type has another endpoint, or a mended one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from jobservice.jobs.lanes import activate_lanes
from jobservice.jobs.models import EndpointThrottle
from jobservice.jobs.outcomes import Outcome
from jobservice.logs import log_event
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
# However long an endpoint asks for: whoever said a day by mistake is asked again soon.
MOST_SECONDS = 900.0
FIRST_BATCH, MOST_BATCH = 20, 2560
STEP_SECONDS = 1.0
# Types let go on in one transaction.
TYPES_PER_STEP = 50
FORGET_SECONDS = 60.0
# By the name of the type and its version.
Throttles = Mapping[tuple[str, int], datetime]


def throttle_endpoints(outcomes: Iterable[Outcome]) -> None:
    """Hold back the endpoints that said "not now" in these runs, in the caller's transaction, which locked their rows.

    It locks the throttles: after the live rows, and before `free_slots`.
    """
    asked = [(outcome.job, outcome.throttle) for outcome in outcomes if outcome.throttle is not None]
    if not asked:
        return
    parameters = {
        "tenants": [job.tenant_id for job, _ in asked],
        "types": [job.type for job, _ in asked],
        "versions": [throttle.type_version for _, throttle in asked],
        "seconds": [float(throttle.seconds) for _, throttle in asked],
        "most_seconds": MOST_SECONDS,
        "batch": FIRST_BATCH,
    }
    rows = run_statement(_SQL / "throttle_endpoints.sql", parameters)
    for tenant_id in {row.tenant_id for row in rows}:
        # Not loud: it is the tenant's receiver, and the type says so.
        log_event("endpoint_throttled", level="debug", tenant_id=tenant_id)


def let_go_throttled() -> int:
    """Let the next parked jobs go on whose endpoint's pause is over. The number of jobs."""
    parameters = {"types": TYPES_PER_STEP, "most_jobs": MOST_BATCH, "step_seconds": STEP_SECONDS}
    with transaction.atomic():
        (row,) = run_statement(_SQL / "let_go_throttled.sql", parameters)
        activate_lanes(row.lanes or [])
    if row.jobs:
        log_event("throttled_jobs_resumed", level="debug", count=row.jobs)
    return int(row.jobs)


def forget_throttles() -> int:
    """Remove the throttles that are over and that no job waits for. The number removed."""
    return len(run_statement(_SQL / "forget_throttles.sql", {"after_seconds": FORGET_SECONDS}))


def read_throttles(tenant_id: UUID, types: Collection[str]) -> Throttles:
    """Until when these job types are held back, where they are. In the caller's transaction."""
    rows = EndpointThrottle.objects.filter(tenant_id=tenant_id, type__in=types, until__gt=Now())
    return {(row.type, row.type_version): row.until for row in rows}


def forget_throttle(tenant_id: UUID, name: str) -> None:
    """The type is deleted: one of the same name is another, and counts its versions from 1."""
    EndpointThrottle.objects.filter(tenant_id=tenant_id, type=name).delete()
