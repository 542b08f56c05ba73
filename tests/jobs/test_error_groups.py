"""Errors in groups: failed runs that are the same are one group, which a person resolves or ignores."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobservice.jobs.bulk_action_request import parse_bulk_action
from jobservice.jobs.bulk_actions import Lease, make_bulk_action
from jobservice.jobs.bulk_turns import serve_turn
from jobservice.jobs.error_group_reads import (
    SPARK_HOURS,
    ErrorFilters,
    change_error_group,
    find_error_group,
    list_error_groups,
)
from jobservice.jobs.error_groups import MAX_MESSAGE_CHARACTERS, forget_known_groups
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.models import ErrorGroup, Job, LiveJob
from jobservice.jobs.outcomes import OutcomeKind, StartedJob
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.resealing import rotate_tenant_key
from jobservice.jobs.retry import retry_job
from jobservice.jobs.selectors import list_jobs
from jobservice.jobs.statistics import prune_statistics
from tests.clock_edges import begin_within
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, job_uuid, outcome_of, record, start
from tests.jobs.folding import fold, run
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def fail(
    tenant: Tenant, *messages: str | None, kind: OutcomeKind = "failed", code: str = "handler-error", **job: object
) -> None:
    """A job of its own fails with each message, in one group; all is folded."""
    for _ in messages:
        make_job(tenant, **{"max_attempts": 1, **job})
    started = start(claim())
    outcomes = [
        outcome_of(one, kind, error_code=code, error_message=text) for one, text in zip(started, messages, strict=True)
    ]
    record(*outcomes)
    fold()


def _start_one(tenant: Tenant) -> StartedJob:
    make_job(tenant)
    (started,) = start(claim())
    return started


def group_of(tenant: Tenant) -> ErrorGroup:
    return ErrorGroup.objects.get(tenant_id=tenant.id)


def shown(tenant: Tenant, **filters: str) -> list[tuple[str, str | None, int, str]]:
    with as_role("web"):
        page = list_error_groups(tenant.id, ErrorFilters(**filters), limit=50)
    return [(group["code"], group["message"], group["runs"], group["state"]) for group in page.data]


def test_runs_that_fail_alike_are_one_group_with_the_text_of_the_first(tenant: Tenant) -> None:
    fail(tenant, "Order 17 is gone", "Order 18 is gone", "Another thing")
    fail(tenant, "Order 19 is gone")
    assert sorted(shown(tenant)) == [
        ("handler-error", "Another thing", 1, "open"),
        ("handler-error", "Order 17 is gone", 3, "open"),
    ]


def test_every_failed_run_counts_and_no_other(tenant: Tenant) -> None:
    job = make_job(tenant, max_attempts=2)
    for _ in range(2):
        record(outcome_of(start(claim())[0], "failed", error_code="no", error_message="no"))
        LiveJob.objects.filter(job_id=job_uuid(job)).update(state="available")
    record(outcome_of(_start_one(tenant), "snoozed", snooze_seconds=60))
    record(outcome_of(_start_one(tenant), "cancelled", error_message="no"))
    record(outcome_of(_start_one(tenant), "released"))
    fold()
    assert shown(tenant) == [("no", "no", 2, "open")]


def test_a_run_that_somebody_asked_to_cancel_has_not_failed(tenant: Tenant) -> None:
    make_job(tenant)
    (started,) = start(claim())
    LiveJob.objects.update(cancel_requested=True)
    record(outcome_of(started, "failed", error_message="no"))
    fold()
    assert shown(tenant) == []


def test_the_text_is_sealed_and_the_fingerprint_is_keyed(tenant: Tenant, other_tenant: Tenant) -> None:
    fail(tenant, "the secret word")
    fail(other_tenant, "the secret word")
    group, other = group_of(tenant), group_of(other_tenant)
    assert group.id != other.id
    assert b"secret" not in bytes(group.message_sealed or b"")
    found = run("SELECT count(*) FROM error_group g WHERE g::text ILIKE %s", [f"%{b'secret'.hex()}%"])
    assert found == [(0,)]


def test_a_long_text_is_cut(tenant: Tenant) -> None:
    fail(tenant, "long " * 2000)
    ((_, message, _, _),) = shown(tenant)
    assert message is not None
    assert len(message) == MAX_MESSAGE_CHARACTERS


def test_a_crash_that_the_dispatcher_finds_is_in_the_same_group_as_one_that_a_worker_tells(tenant: Tenant) -> None:
    first, _ = make_job(tenant), make_job(tenant)
    started = {one.job_id: one for one in start(claim())}
    end_lease(first)
    with as_role("dispatcher"):
        reap_leases()
    del started[job_uuid(first)]
    record(*[outcome_of(one, "crashed") for one in started.values()])
    fold()
    assert shown(tenant) == [("crashed", None, 2, "open")]


def test_a_resolved_group_opens_when_a_run_fails_with_it_again_and_an_ignored_one_does_not(tenant: Tenant) -> None:
    fail(tenant, "no")
    group_id = group_of(tenant).id
    for state, after in (("resolved", "open"), ("ignored", "ignored"), ("open", "open")):
        with as_role("web"):
            assert change_error_group(tenant.id, group_id, state)["state"] == state
        fail(tenant, "no")
        assert group_of(tenant).state == after


def test_a_run_that_failed_before_the_resolution_does_not_open_the_group(tenant: Tenant) -> None:
    fail(tenant, "no")
    make_job(tenant, max_attempts=1)
    failed = outcome_of(start(claim())[0], "failed", error_code="handler-error", error_message="no")
    # Over at once: the resolution may come sooner than the ten milliseconds of other runs.
    record(replace(failed, duration_seconds=0.0))
    group_id = group_of(tenant).id
    with as_role("web"):
        change_error_group(tenant.id, group_id, "resolved")
    fold()
    assert shown(tenant) == [("handler-error", "no", 2, "resolved")]


def test_a_group_that_was_pruned_while_a_worker_knew_it_is_counted_without_its_text(tenant: Tenant) -> None:
    fail(tenant, "no")
    ErrorGroup.objects.all().delete()
    make_job(tenant, max_attempts=1)
    (started,) = start(claim())
    record(outcome_of(started, "failed", error_code="handler-error", error_message="no"))
    fold()
    assert [runs for _, _, runs, _ in shown(tenant)] == [1]


def test_runs_are_counted_by_hour(tenant: Tenant) -> None:
    begin_within(3600)
    fail(tenant, "no", "no")
    run("UPDATE error_count SET at = at - interval '3 hours'")
    fail(tenant, "no")
    run("UPDATE error_count SET at = at - interval '23 hours' WHERE at >= now() - interval '90 minutes'")
    fail(tenant, "no")
    group_id = group_of(tenant).id
    with as_role("web"):
        found = find_error_group(tenant.id, group_id)
    assert found is not None
    hours = found["runs_by_hour"]
    assert len(hours) == SPARK_HOURS
    assert (hours[0], hours[-4], hours[-1], sum(hours)) == (1, 2, 1, 4)


def test_groups_are_listed_by_page_the_last_seen_first(tenant: Tenant, other_tenant: Tenant) -> None:
    words = ["one", "two", "three", "four", "five"]
    fail(other_tenant, "six")
    for word in words:
        fail(tenant, word)
    ErrorGroup.objects.filter(type="echo", tenant_id=tenant.id).update(last_seen_at=Now())
    seen: list[str] = []
    cursor = None
    with as_role("web"):
        while True:
            page = list_error_groups(tenant.id, ErrorFilters(), limit=2, cursor=cursor)
            seen += [group["message"] for group in page.data]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert sorted(seen) == sorted(words)
    assert shown(tenant, type="nothing") == shown(tenant, state="ignored") == []
    assert len(shown(tenant, type="echo", state="open")) == 5


def test_the_jobs_of_a_group_are_found_and_retried(tenant: Tenant) -> None:
    fail(tenant, "no 1", "no 2")
    no = group_of(tenant)
    fail(tenant, "else")
    waiting = make_job(tenant)
    record(outcome_of(start(claim())[0], "failed", error_code="handler-error", error_message="no 3"))
    found = {
        state: len(list_jobs(tenant.id, filters=JobFilters(error_group=no.id, state=state), limit=50).data)
        for state in (None, "discarded", "retryable", "completed")
    }
    assert found == {None: 3, "discarded": 2, "retryable": 1, "completed": 0}
    assert LiveJob.objects.get(job_id=job_uuid(waiting)).state == "retryable"
    retry_job(tenant.id, Job.objects.filter(error_code="handler-error", final_state="discarded").order_by("id")[0].id)
    assert len(list_jobs(tenant.id, filters=JobFilters(error_group=no.id, state="discarded"), limit=50).data) == 1
    assert len(list_jobs(tenant.id, filters=JobFilters(error_group=no.id), limit=50).data) == 2


def test_a_bulk_action_retries_all_jobs_of_a_group(tenant: Tenant) -> None:
    fail(tenant, "no 1", "no 2", "else")
    no = ErrorGroup.objects.get(tenant_id=tenant.id, runs=2)
    with as_role("web"):
        shown_id = next(g["id"] for g in list_error_groups(tenant.id, ErrorFilters(), limit=5).data if g["runs"] == 2)
        request = parse_bulk_action({"action": "retry", "filter": {"error_group": shown_id}})
        assert request.filters == JobFilters(error_group=no.id)
        made = make_bulk_action(tenant.id, request, queues=None)
        assert isinstance(made, Lease)
        serve_turn(made)
    assert LiveJob.objects.filter(tenant_id=tenant.id, state="available").count() == 2


def test_a_rotation_of_the_tenants_key_seals_the_text_anew(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobservice.jobs.resealing.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("jobservice.jobs.resealing.READ_SECONDS", 0.0)
    fail(tenant, "no")
    before = bytes(group_of(tenant).message_sealed or b"")
    rotate_tenant_key(tenant.id, progress=lambda _: None)
    assert bytes(group_of(tenant).message_sealed or b"") != before
    found = find_error_group(tenant.id, group_of(tenant).id)
    assert found is not None
    assert found["message"] == "no"


def test_groups_and_their_counts_go_when_they_are_old(tenant: Tenant) -> None:
    fail(tenant, "old")
    run("UPDATE error_count SET at = at - interval '61 days'")
    ErrorGroup.objects.update(last_seen_at=Now() - timedelta(days=91))
    fail(tenant, "new")
    with as_role("dispatcher"):
        prune_statistics()
    assert shown(tenant) == [("handler-error", "new", 1, "open")]
    assert run("SELECT count(*) FROM error_count") == [(2,)]


@pytest.fixture(autouse=True)
def _forget() -> None:
    forget_known_groups()
