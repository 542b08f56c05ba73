"""`POST /v1/completions/{token}` and `…/extend`: what an endpoint that answered "later" may say of its run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from api.wrong_keys import BURST
from jobservice.crypto.message_mac import Ref
from jobservice.jobs.completion import MAX_MESSAGE_CHARACTERS
from jobservice.jobs.completion_token import RunRef, make_token
from jobservice.jobs.handover import Handover, hand_over_runs
from jobservice.jobs.leases import release_jobs, renew_leases
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.outcomes import RESULT_LIMIT_BYTES, StartedJob
from jobservice.jobs.rescue import reap_leases
from jobservice.webhooks.models import Delivery, Event
from tenants.models import Tenant as TenantRow
from tests.api.keys import faults, problem
from tests.api.standing_clocks import stop_the_clocks
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, live, outcome_of, record, start
from tests.roles import as_role

pytestmark = pytest.mark.django_db

DONE = {"outcome": "completed", "result": {"pages": 3}}


def start_one(tenant: Tenant, **fields: Any) -> tuple[dict[str, Any], StartedJob]:
    job = make_job(tenant, **fields)
    (started,) = start(claim())
    return job, started


def hand_over(*jobs: StartedJob, worker_id: Any = WORKER) -> int:
    with as_role("worker"):
        handovers = [Handover(job, float(job.timeout_seconds)) for job in jobs]
        return hand_over_runs(handovers, worker_id=worker_id)


def address(started: StartedJob, then: str = "") -> str:
    return f"/v1/completions/{make_token(RunRef(started.tenant_id, started.job_id, started.epoch))}{then}"


def shown(api: Any, tenant: Tenant, job: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = api.get(f"/v1/jobs/{job['id']}?include=result", key=tenant.api_key).json()
    return answer


def seconds_left(job: dict[str, Any]) -> float:
    row = LiveJob.objects.filter(job_id=job_uuid(job)).annotate(now=Now()).get()
    assert row.lease_until is not None
    return (row.lease_until - row.now).total_seconds()


def test_a_run_that_was_handed_over_is_completed_with_its_result(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, callback_url="http://127.0.0.1:9/done")
    assert hand_over(started) == 1
    assert shown(api, tenant, job)["state"] == "executing"
    answer = api.post(address(started), DONE)
    assert (answer.status_code, answer.json()) == (200, {"id": job["id"], "state": "completed"})
    after = shown(api, tenant, job)
    assert (after["state"], after["attempt"], after["result"]) == ("completed", 1, {"pages": 3})
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.worker_id, attempt.epoch) == ("completed", WORKER, 1)
    event = Event.objects.get(type="job.completed")
    assert (Delivery.objects.get().event_id, (event.job or {})["id"]) == (event.id, job["id"])
    assert not LiveJob.objects.exists()


def test_an_endpoint_may_be_quicker_than_its_own_answer(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    assert api.post(address(started), DONE).status_code == 200
    assert hand_over(started) == 0
    assert shown(api, tenant, job)["state"] == "completed"
    assert Attempt.objects.count() == 1


def test_a_completion_without_a_result_has_the_result_null(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    api.post(address(started), {"outcome": "completed"})
    assert (shown(api, tenant, job)["state"], shown(api, tenant, job)["result"]) == ("completed", None)
    assert Job.objects.get().result_id is not None


def test_a_failure_is_tried_again_by_the_jobs_policy_and_not_before_it_wishes(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, retry={"strategy": "fixed", "initial_seconds": 5, "jitter": 0})
    hand_over(started)
    failed = {"outcome": "failed", "error": {"code": "printer-busy", "message": "Busy."}, "retry_after_seconds": 900}
    assert api.post(address(started), failed).json()["state"] == "retryable"
    row = live(job)
    assert (row.state, row.is_async, row.attempt, row.error_code) == ("retryable", False, 1, "printer-busy")
    assert shown(api, tenant, job)["error"] == {"code": "printer-busy", "message": "Busy."}
    assert 890 < (LiveJob.objects.annotate(now=Now()).get().due_at - started.started_at).total_seconds() < 1000


def test_a_failure_of_which_nothing_is_said_is_a_failure(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, max_attempts=1)
    assert api.post(address(started), {"outcome": "failed"}).json()["state"] == "discarded"
    assert shown(api, tenant, job)["error"] == {"code": "failed", "message": None}


def test_a_permanent_failure_discards_the_job(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    body = {"outcome": "failed", "error": {"code": "no-such-invoice"}, "permanent": True}
    assert api.post(address(started), body).json()["state"] == "discarded"
    assert shown(api, tenant, job)["error"]["code"] == "no-such-invoice"


def test_a_snooze_counts_no_attempt(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    hand_over(started)
    assert api.post(address(started), {"outcome": "snoozed", "snooze_seconds": 3600}).json()["state"] == "scheduled"
    row = live(job)
    assert (row.state, row.attempt, row.is_async) == ("scheduled", 0, False)
    assert Attempt.objects.get().outcome == "snoozed"


def test_an_endpoint_may_give_a_job_up(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    assert api.post(address(started), {"outcome": "cancelled"}).json()["state"] == "cancelled"
    assert shown(api, tenant, job)["error"] == {"code": "cancelled", "message": None}


def test_what_somebody_asked_to_cancel_is_cancelled_whatever_it_came_to(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    hand_over(started)
    asked = api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key).json()
    assert (asked["state"], asked["cancel_requested"]) == ("executing", True)
    assert api.post(address(started, "/extend"), {"seconds": 60}).json()["cancel_requested"] is True
    assert api.post(address(started), DONE).json()["state"] == "cancelled"
    assert shown(api, tenant, job)["result"] is None


def test_a_run_that_was_cancelled_before_it_could_be_handed_over_is_cancelled(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key)
    assert hand_over(started) == 0
    assert shown(api, tenant, job)["state"] == "cancelled"
    assert Attempt.objects.get().outcome == "cancelled"
    problem(api.post(address(started), DONE), 409, "lease-lost")


def complete_it(api: Any, started: StartedJob) -> None:
    assert api.post(address(started), DONE).status_code == 200


def record_it(_api: Any, started: StartedJob) -> None:
    record(outcome_of(started))


def release_it(_api: Any, started: StartedJob) -> None:
    with as_role("worker"):
        assert release_jobs([claim_of(started)], worker_id=WORKER) == 1


def rescue_it(_api: Any, _started: StartedJob) -> None:
    LiveJob.objects.update(lease_until=Now() - timedelta(seconds=1))
    with as_role("dispatcher"):
        assert reap_leases().crashed == 1


def retry_it(_api: Any, started: StartedJob) -> None:
    record(outcome_of(started, "failed", error_code="no"))


def claim_of(started: StartedJob) -> Ref:
    return Ref(started.tenant_id, started.job_id, started.epoch)


@pytest.mark.parametrize("end", [complete_it, record_it, release_it, rescue_it, retry_it])
@pytest.mark.parametrize(("then", "body"), [("", DONE), ("/extend", {"seconds": 60}), ("/progress", {"percent": 1})])
def test_the_address_of_a_run_that_is_over_is_a_lost_lease(
    api: Any, tenant: Tenant, end: Callable[[Any, StartedJob], None], then: str, body: Any
) -> None:
    job, started = start_one(tenant)
    end(api, started)
    before = Attempt.objects.count(), Event.objects.count()
    problem(api.post(address(started, then), body), 409, "lease-lost")
    # Nor does it reach the run that comes next.
    LiveJob.objects.filter(job_id=job_uuid(job)).update(state="available")
    if start(claim()):
        problem(api.post(address(started, then), body), 409, "lease-lost")
        assert live(job).state == "executing"
    assert (Attempt.objects.count(), Event.objects.count()) == before


def test_only_the_worker_that_holds_a_run_can_hand_it_over(tenant: Tenant) -> None:
    job, started = start_one(tenant)
    with as_role("worker"):
        assert hand_over_runs([Handover(started, 60.0)], worker_id=job_uuid(job)) == 0
    assert live(job).is_async is False


def test_a_run_that_was_handed_over_has_the_rest_of_its_attempt_and_no_heartbeat_alters_that(tenant: Tenant) -> None:
    job, started = start_one(tenant, timeout_seconds=600)
    assert hand_over(started, started) == 1
    with as_role("worker"):
        assert renew_leases([claim_of(started)], worker_id=WORKER, lease_seconds=30).kept
        assert release_jobs([claim_of(started)], worker_id=WORKER) == 0, "it is not this process's any more"
    assert 590 < seconds_left(job) <= 600


def test_a_run_that_nobody_completes_in_time_is_timed_out_and_tried_again(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    hand_over(started)
    end_lease(job)
    with as_role("dispatcher"):
        reaped = reap_leases()
    assert (reaped.timed_out, reaped.crashed) == (1, 0)
    after = shown(api, tenant, job)
    assert (after["state"], after["crash_count"], after["error"]["code"]) == ("retryable", 0, "timed-out")
    assert Attempt.objects.get().outcome == "timed-out"


def test_the_last_attempt_that_nobody_completes_in_time_discards_the_job(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, max_attempts=1)
    hand_over(started)
    end_lease(job)
    with as_role("dispatcher"):
        reap_leases()
    assert (shown(api, tenant, job)["state"], Attempt.objects.get().outcome) == ("discarded", "timed-out")


def test_extending_prolongs_the_lease_and_never_shortens_it(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, timeout_seconds=600)
    hand_over(started)
    answer = api.post(address(started, "/extend"), {"seconds": 60})
    assert (answer.status_code, answer.json()["cancel_requested"]) == (200, False)
    assert 580 < seconds_left(job) <= 600
    until = api.post(address(started, "/extend"), {"seconds": 3600}).json()["lease_expires_at"]
    assert 3580 < seconds_left(job) <= 3600
    row = live(job)
    assert row.lease_until is not None
    assert until == row.lease_until.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_an_extension_that_is_quicker_than_the_endpoints_answer_stays(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, timeout_seconds=60)
    api.post(address(started, "/extend"), {"seconds": 3600})
    with as_role("worker"):
        assert renew_leases([claim_of(started)], worker_id=WORKER, lease_seconds=30).kept == {(started.job_id, 1)}
    assert hand_over(started) == 1
    assert 3580 < seconds_left(job) <= 3600


def test_a_short_extension_takes_nothing_of_the_time_that_the_endpoint_was_told(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant, timeout_seconds=600)
    # It waited for a slot before it was sent, with a deadline counted from then.
    LiveJob.objects.update(started_at=F("started_at") - timedelta(seconds=300))
    api.post(address(started, "/extend"), {"seconds": 60})
    assert hand_over(started) == 1
    assert 580 < seconds_left(job) <= 600


def test_an_endpoint_that_extends_may_still_answer_itself(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    api.post(address(started, "/extend"), {"seconds": 3600})
    assert record(outcome_of(started)).recorded == 1
    assert shown(api, tenant, job)["state"] == "completed"


def test_progress_is_shown_and_kept_with_the_attempt(api: Any, tenant: Tenant) -> None:
    job, started = start_one(tenant)
    hand_over(started)
    answer = api.post(address(started, "/progress"), {"percent": 12.5, "message": "page 2"})
    assert (answer.status_code, answer.json()) == (200, {"cancel_requested": False})
    assert shown(api, tenant, job)["progress"] == {"percent": 12.5, "message": "page 2"}
    api.post(f"/v1/jobs/{job['id']}/cancel", key=tenant.api_key)
    assert api.post(address(started, "/progress"), {"percent": 50}).json() == {"cancel_requested": True}
    api.post(address(started), DONE)
    (attempt,) = api.get(f"/v1/jobs/{job['id']}/attempts", key=tenant.api_key).json()["data"]
    assert attempt["progress"] == {"percent": 50, "message": None}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, ("/percent", "required")),
        ({"percent": 100.5}, ("/percent", "out-of-range")),
        ({"percent": "1"}, ("/percent", "wrong-type")),
        ({"percent": 1, "message": "x" * 1001}, ("/message", "too-long")),
        ({"percent": 1, "lease": 1}, ("/lease", "unknown-field")),
    ],
)
def test_an_invalid_progress_is_refused(api: Any, tenant: Tenant, body: Any, found: tuple[str, str]) -> None:
    job, started = start_one(tenant)
    assert faults(api.post(address(started, "/progress"), body)) == {found}
    assert live(job).progress_percent is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, {("/outcome", "required")}),
        ({"outcome": None}, {("/outcome", "required")}),
        ({"outcome": "timed-out"}, {("/outcome", "out-of-range")}),
        ({"outcome": "crashed"}, {("/outcome", "out-of-range")}),
        ({"outcome": "released"}, {("/outcome", "out-of-range")}),
        ({"outcome": 1, "x": 1}, {("/outcome", "wrong-type"), ("/x", "unknown-field")}),
        ({"outcome": "completed", "error": {"code": "a"}}, {("/error", "conflicting-fields")}),
        ({"outcome": "completed", "permanent": False}, {("/permanent", "conflicting-fields")}),
        ({"outcome": "failed", "result": 1}, {("/result", "conflicting-fields")}),
        ({"outcome": "failed", "error": {}}, {("/error/code", "required")}),
        ({"outcome": "failed", "error": "no"}, {("/error", "wrong-type")}),
        (
            {"outcome": "failed", "error": {"code": "No Way", "x": 1}},
            {("/error/code", "bad-format"), ("/error/x", "unknown-field")},
        ),
        ({"outcome": "failed", "error": {"code": "a", "message": "\x00"}}, {("/error/message", "bad-format")}),
        (
            {"outcome": "failed", "error": {"code": "a", "message": "x" * (MAX_MESSAGE_CHARACTERS + 1)}},
            {("/error/message", "too-long")},
        ),
        ({"outcome": "failed", "permanent": 1}, {("/permanent", "wrong-type")}),
        ({"outcome": "failed", "retry_after_seconds": 86_401}, {("/retry_after_seconds", "out-of-range")}),
        ({"outcome": "snoozed"}, {("/snooze_seconds", "required")}),
        ({"outcome": "snoozed", "snooze_seconds": 0}, {("/snooze_seconds", "out-of-range")}),
        ({"outcome": "cancelled", "snooze_seconds": 5}, {("/snooze_seconds", "conflicting-fields")}),
        ({"outcome": "completed", "result": "x" * RESULT_LIMIT_BYTES}, {("/result", "too-long")}),
    ],
)
def test_an_invalid_completion_is_refused_and_ends_nothing(
    api: Any, tenant: Tenant, body: Any, found: set[tuple[str, str]]
) -> None:
    job, started = start_one(tenant)
    answer = api.post(address(started), body)
    problem(answer, 422, "invalid")
    assert faults(answer) == found
    assert live(job).state == "executing"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, ("/seconds", "required")),
        ({"seconds": 0}, ("/seconds", "out-of-range")),
        ({"seconds": 86_401}, ("/seconds", "out-of-range")),
        ({"seconds": "60"}, ("/seconds", "wrong-type")),
        ({"seconds": 60, "x": 1}, ("/x", "unknown-field")),
    ],
)
def test_an_invalid_extension_is_refused(api: Any, tenant: Tenant, body: Any, found: tuple[str, str]) -> None:
    job, started = start_one(tenant)
    answer = api.post(address(started, "/extend"), body)
    assert faults(answer) == {found}
    assert live(job).is_async is False


def test_the_largest_result_fits_and_a_body_that_cannot_hold_one_is_not_read(api: Any, tenant: Tenant) -> None:
    _, started = start_one(tenant)
    problem(api.post(address(started), b" " * (RESULT_LIMIT_BYTES + 65_537)), 413, "payload-too-large")
    largest = {"outcome": "completed", "result": "x" * (RESULT_LIMIT_BYTES - 2)}
    assert api.post(address(started), largest).json()["state"] == "completed"


def test_a_small_payload_limit_does_not_keep_a_result_out(api: Any, tenant: Tenant) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"payload_bytes": 10})
    _, started = start_one(tenant)
    body = {"outcome": "completed", "result": "x" * 200_000}
    assert api.post(address(started), body).status_code == 200


def test_completions_take_turns_of_the_tenants_requests(
    api: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stop_the_clocks(monkeypatch, tmp_path)
    TenantRow.objects.filter(id=tenant.id).update(quotas={"requests_per_second": 1})
    _, started = start_one(tenant)
    codes = [api.post(address(started, "/extend"), {"seconds": 60}).status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]


def test_wrong_tokens_without_end_are_refused_and_right_ones_are_not(
    api: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine, no wrong one is forgotten meanwhile.
    monkeypatch.setattr("api.wrong_keys.PER_SECOND", 0)
    _, started = start_one(tenant)
    right = address(started)
    assert api.post(right + "/extend", {"seconds": 60}).status_code == 200
    wrong = right[:-2] + ("AA" if right[-2:] != "AA" else "BA")
    answers = [api.post(wrong, DONE) for _ in range(BURST + 1)]
    assert answers[0].status_code == 404
    problem(answers[-1], 429, "rate-limited")
    assert api.post(right, DONE).status_code == 200
