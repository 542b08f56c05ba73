"""Processes go on while a migration adds columns: what they have prepared keeps the answer that it promised."""

from __future__ import annotations

import pytest
from django.db import connection

from jobservice.crypto.message_mac import Ref
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.claims import return_claims, stage_due_jobs
from jobservice.jobs.leases import release_jobs, renew_leases
from jobservice.jobs.retry import retry_job
from jobservice.webhooks.delivery_records import DeliveryResult
from tests.factories import Tenant, make_job
from tests.jobs import dispatching
from tests.jobs.dispatching import WORKER, job_uuid, outcome_of
from tests.roles import as_role
from tests.webhooks import test_deliveries as deliveries

# What a migration may widen: each table of the service, with its partitions.
TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
"""


def begin() -> list[Ref]:
    refs = dispatching.claim()
    dispatching.start(refs)
    return refs


def live_through(tenant: Tenant) -> None:
    """What the processes of a service do all day: each statement under the role of whoever runs it."""
    # First what is not tried a second time: a failed transaction makes the driver forget all that it has prepared.
    unwanted = make_job(tenant)
    with as_role("web"):
        assert cancel_job(tenant.id, job_uuid(unwanted))["state"] == "cancelled"
    make_job(tenant, callback_url="http://127.0.0.1:9/done")
    (started,) = dispatching.start(dispatching.claim())
    assert dispatching.record(outcome_of(started)).recorded == 1
    (delivery,) = deliveries.start(deliveries.claim())
    assert deliveries.record(DeliveryResult(delivery.ref, 5, status=200, final_state="delivered")).recorded == 1

    tried = make_job(tenant, retry={"initial_seconds": 0, "jitter": 0})
    (started,) = dispatching.start(dispatching.claim())
    assert dispatching.record(outcome_of(started, "failed", error_code="handler-error")).recorded == 1
    with as_role("dispatcher"):
        assert stage_due_jobs() == 1
    refs = dispatching.claim()
    with as_role("dispatcher"):
        assert return_claims(refs) == 1
    refs = begin()
    with as_role("worker"):
        assert len(renew_leases(refs, worker_id=WORKER, lease_seconds=30).kept) == 1
        assert release_jobs(refs, worker_id=WORKER) == 1
    with as_role("web"):
        assert cancel_job(tenant.id, job_uuid(tried))["state"] == "cancelled"
        assert retry_job(tenant.id, job_uuid(tried))["state"] == "available"
        cancel_job(tenant.id, job_uuid(tried))


@pytest.mark.django_db
def test_a_column_more_in_every_table_stops_nobody(tenant: Tenant) -> None:
    live_through(tenant)
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            # Hidden from the driver, which forgets what it has prepared when it alters a table itself.
            cursor.execute(f"DO $$ BEGIN ALTER TABLE {table} ADD COLUMN of_the_next_release text; END $$")
    live_through(tenant)
