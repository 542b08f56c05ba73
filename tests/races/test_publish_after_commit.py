"""Nobody is told of what is not committed yet: neither the broker, nor who listens for work or for the end of a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from jobservice.crypto.message_mac import Ref
from jobservice.jobs import notifier
from jobservice.jobs.accept import accept_job
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.fleet import register_worker
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.retry import retry_job
from jobservice.webhooks.models import LiveDelivery
from tests.factories import Tenant, make_job, make_submission
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.roles import as_role
from workers.dispatcher import Dispatcher


def seen_from_outside(look: Callable[[], Any]) -> Any:
    """What another connection sees at this moment: only what is committed."""

    def act() -> Any:
        try:
            return look()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(act).result(timeout=30)


class LookingPublisher:
    """Publishes nothing, and notes how each job and delivery of a message looks to the worker that takes it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.refs: list[Ref] = []

    def publish(self, task: str, refs: Sequence[Ref], *, queue: str) -> bool:
        live: Any = LiveJob.objects if task == "run_jobs" else LiveDelivery.objects
        named = {"job_id__in" if task == "run_jobs" else "delivery_id__in": [ref.id for ref in refs]}
        self.seen += seen_from_outside(lambda: list(live.filter(**named).values_list("state", "epoch")))
        self.refs += refs
        return True


def test_a_message_names_claims_that_its_worker_can_see(racing_tenant: Tenant) -> None:
    make_job(racing_tenant, callback_url="http://127.0.0.1:9/")
    record(outcome_of(start(claim())[0]))
    make_job(racing_tenant)
    make_job(racing_tenant, type="http.request", payload={"url": "http://127.0.0.1:9/"})
    with as_role("worker"):
        for pool in ("handlers", "egress", "deliveries"):
            register_worker(pool=pool, slots=10)
    publisher = LookingPublisher()
    with as_role("dispatcher"):
        assert Dispatcher(publisher).dispatch_once() == 3  # type: ignore[arg-type]  # as much of one as is used
    assert publisher.seen == [("dispatched", ref.epoch) for ref in publisher.refs]
    assert len(publisher.refs) == 3


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Each waking, with the states of all jobs as who is woken sees them."""
    found: list[tuple[str, Any]] = []

    def wake(channel: str) -> None:
        found.append((channel, seen_from_outside(states)))

    monkeypatch.setattr(notifier, "_wake", wake)
    for module in ("store", "retry"):
        monkeypatch.setattr(f"jobservice.jobs.{module}.wake_dispatcher", notifier.wake_dispatcher)
    return found


def states() -> list[str]:
    live = list(LiveJob.objects.values_list("state", flat=True))
    return live + [state for state in Job.objects.values_list("final_state", flat=True) if state]


def test_who_listens_is_woken_when_there_is_something_to_see(
    racing_tenant: Tenant, heard: list[tuple[str, Any]]
) -> None:
    with as_role("web"):
        job = accept_job(racing_tenant.id, make_submission())
    record(outcome_of(start(claim())[0]))
    with as_role("web"):
        retry_job(racing_tenant.id, job_uuid(job))
        cancel_job(racing_tenant.id, job_uuid(job))
    assert heard == [
        (notifier.CHANNEL, ["available"]),
        (notifier.ENDS_CHANNEL, ["completed"]),
        (notifier.CHANNEL, ["available"]),
        (notifier.ENDS_CHANNEL, ["cancelled"]),
    ]
