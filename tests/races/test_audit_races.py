"""Acts at the same moment, with real commits: one chain without gaps, and no waiting for those that are no acts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

from tenants.audit import note_act
from tenants.audit_checks import verify_chain
from tenants.context import tenant_tx
from tenants.models import AuditEvent
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.roles import as_role, set_role

Race = Callable[..., list[Any]]


def note(tenant: Tenant, name: str) -> None:
    with tenant_tx(tenant.id):
        note_act(tenant.id, "queue.updated", name)


def test_a_hundred_acts_at_once_keep_one_chain_without_gaps(racing_tenant: Tenant, race: Race) -> None:
    before = AuditEvent.objects.filter(tenant_id=racing_tenant.id).count()

    def act(thread: int) -> None:
        for number in range(10):
            note(racing_tenant, f"{thread}-{number}")

    race("web", *[lambda thread=thread: act(thread) for thread in range(10)])
    events = AuditEvent.objects.filter(tenant_id=racing_tenant.id).order_by("seq")
    assert [event.seq for event in events] == list(range(1, before + 101))
    assert len({event.object_id for event in events if event.action == "queue.updated"}) == 100
    times = [event.at for event in events]
    assert times == sorted(times)
    verified = verify_chain(racing_tenant.id)
    assert (verified.place.seq, verified.broken) == (before + 100, None)


def test_accepting_and_running_jobs_waits_for_no_act(racing_tenant: Tenant, committed: None) -> None:
    """While an act holds the head of the chain, which whoever waited for it would not get."""
    holds, over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            set_role("web")
            with tenant_tx(racing_tenant.id):
                note_act(racing_tenant.id, "queue.updated", "held")
                holds.set()
                assert over.wait(timeout=30)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holds.wait(timeout=30)
        with as_role("web"):
            job = make_job(racing_tenant)
        (started,) = start(claim())
        record(outcome_of(started))
    finally:
        over.set()
        holder.join(timeout=30)
    assert job["state"] == "available"
    assert verify_chain(racing_tenant.id).broken is None
