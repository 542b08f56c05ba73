"""Changes of queues at once, with real threads, connections and commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobservice.errors import QuotaExceeded
from jobservice.jobs.accept import accept_job, accept_jobs
from jobservice.jobs.models import Job, Queue
from jobservice.jobs.queue_settings import parse_settings
from jobservice.jobs.queues import change_queue
from jobservice.preconditions import Precondition, PreconditionFailed
from tests.factories import Tenant, make_submission

Race = Callable[..., list[Any]]


def put(
    tenant: Tenant, name: str, *, max_queues: int = 3, precondition: Precondition | None = None, **settings: Any
) -> str:
    try:
        _, is_new = change_queue(
            tenant.id,
            name,
            parse_settings(settings),
            may_make=True,
            max_queues=max_queues,
            precondition=precondition,
        )
    except (QuotaExceeded, PreconditionFailed):
        return "refused"
    return "made" if is_new else "changed"


def submit(tenant: Tenant, name: str) -> str:
    try:
        accept_job(tenant.id, make_submission(queue=name), max_queues=3)
    except QuotaExceeded:
        return "refused"
    return "made"


def submit_some(tenant: Tenant, *names: str) -> list[str]:
    answers = accept_jobs(tenant.id, [make_submission(queue=name) for name in names], is_atomic=False, max_queues=3)
    return ["refused" if isinstance(answer, QuotaExceeded) else "made" for answer in answers]


def test_of_queues_put_at_once_one_takes_the_last_place_of_the_quota(racing_tenant: Tenant, race: Race) -> None:
    assert [put(racing_tenant, name) for name in ("a", "b")] == ["made", "made"]
    outcomes = race("web", *[lambda number=number: put(racing_tenant, f"q{number}") for number in range(20)])
    assert sorted(outcomes) == ["made"] + ["refused"] * 19
    assert Queue.objects.filter(tenant_id=racing_tenant.id).count() == 3


def test_first_jobs_and_puts_at_once_do_not_share_the_last_place(racing_tenant: Tenant, race: Race) -> None:
    put(racing_tenant, "a")
    outcomes = race(
        "web",
        *[lambda number=number: put(racing_tenant, f"put{number}") for number in range(4)],
        *[lambda number=number: submit(racing_tenant, f"job{number}") for number in range(4)],
        *[lambda number=number: submit_some(racing_tenant, "a", f"x{number}", f"y{number}") for number in range(4)],
    )
    made = [outcome for outcome in outcomes if outcome == "made"] + [
        word for group in outcomes if isinstance(group, list) for word in group[1:] if word == "made"
    ]
    assert len(made) == 2
    assert Queue.objects.filter(tenant_id=racing_tenant.id).count() == 3
    # What a group may store it stores, whatever became of the rest.
    assert [group[0] for group in outcomes if isinstance(group, list)] == ["made"] * 4
    queues = set(Queue.objects.filter(tenant_id=racing_tenant.id).values_list("name", flat=True))
    assert set(Job.objects.filter(tenant_id=racing_tenant.id).values_list("queue", flat=True)) <= queues


def test_one_queue_put_at_once_is_made_once_and_every_change_is_a_version(racing_tenant: Tenant, race: Race) -> None:
    calls = [lambda number=number: put(racing_tenant, "mine", concurrency=number) for number in range(1, 7)]
    outcomes = race("web", *calls)
    assert sorted(outcomes) == ["changed"] * 5 + ["made"]
    assert Queue.objects.get(tenant_id=racing_tenant.id).version == 6


def test_changes_of_different_settings_at_once_are_all_kept(racing_tenant: Tenant, race: Race) -> None:
    put(racing_tenant, "mine")
    changes = [{"concurrency": 5}, {"key_concurrency": 6}, {"retention_days": 7}, {"paused": True}]
    race("web", *[lambda change=change: change_queue(racing_tenant.id, "mine", change) for change in changes])
    row = Queue.objects.get(tenant_id=racing_tenant.id)
    assert (row.concurrency, row.key_concurrency, row.retention_days, row.version) == (5, 6, 7, 5)
    assert row.paused_at is not None


def test_only_one_of_several_at_once_makes_what_is_not_there(racing_tenant: Tenant, race: Race) -> None:
    outcomes = race("web", *[lambda: put(racing_tenant, "mine", precondition=lambda found: found is None)] * 4)
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]


def test_a_queue_made_by_a_put_and_a_first_job_at_once_is_one(racing_tenant: Tenant, race: Race) -> None:
    for number in range(5):
        name = f"q{number}"
        calls = [lambda name=name: put(racing_tenant, name, max_queues=9, concurrency=1)] * 2
        calls += [lambda name=name: accept_job(racing_tenant.id, make_submission(queue=name))["queue"]] * 2
        race("web", *calls)
        assert Queue.objects.get(tenant_id=racing_tenant.id, name=name).concurrency == 1
