"""For tests whose code writes on threads of its own: jobs claimed for a worker, and commits that are real."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from jobservice.crypto.message_mac import Ref
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid
from tests.roles import as_role, set_role


def claim_in_order(tenant: Tenant, *jobs: dict[str, Any]) -> list[Ref]:
    """Accept these jobs and claim them; their references in the order given."""
    order = [job_uuid(make_job(tenant, **fields)) for fields in jobs]
    refs = {ref.id: ref for ref in claim()}
    return [refs[job_id] for job_id in order]


@contextmanager
def every_connection_as_worker() -> Iterator[None]:
    """Act as the worker's role on this connection and on those that other threads open."""

    def turn(**_: Any) -> None:
        set_role("worker")

    connection_created.connect(turn)
    try:
        with as_role("worker"):
            yield
    finally:
        connection_created.disconnect(turn)
        connections.close_all()
