"""Later ends against whoever else would end, extend or hold the run at the same moment: exactly one wins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jobservice.crypto.message_mac import Ref
from jobservice.errors import ClaimLost
from jobservice.jobs.cancel import JobTerminal, cancel_job
from jobservice.jobs.completion import complete_run, extend_run
from jobservice.jobs.completion_token import RunRef, make_token, read_token
from jobservice.jobs.erasure import erase_tenant
from jobservice.jobs.handover import Handover, hand_over_runs
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.leases import release_jobs
from jobservice.jobs.models import Attempt, Job, JobType, LiveJob
from jobservice.jobs.outcomes import StartedJob, Verdict
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.type_switch import disable_type, resume_held_jobs
from jobservice.webhooks.models import Event
from tenants.data_keys import forget_opened_keys
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, end_lease, job_uuid, outcome_of, start
from tests.races.acting import acting
from tests.roles import as_role

Race = Callable[..., list[Any]]
ROUNDS = 20
HTTP = {"executor": "http", "http": {"url": "https://example.com/"}}
TERMINAL = ("job.completed", "job.discarded", "job.cancelled")


@pytest.fixture(autouse=True)
def _no_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobservice.jobs.completion.wake_dispatcher", lambda: None)


def start_run(tenant: Tenant, **fields: Any) -> tuple[dict[str, Any], StartedJob]:
    job = make_job(tenant, **fields)
    (started,) = start(claim())
    return job, started


def hand_over(started: StartedJob) -> int:
    return hand_over_runs([Handover(started, 60.0)], worker_id=WORKER)


def start_later_run(tenant: Tenant, **fields: Any) -> tuple[dict[str, Any], StartedJob]:
    job, started = start_run(tenant, **fields)
    with as_role("worker"):
        assert hand_over(started) == 1
    return job, started


def run_of(started: StartedJob) -> RunRef:
    return RunRef(started.tenant_id, started.job_id, started.epoch)


def complete(started: StartedJob) -> str | None:
    """The state it led to; None when the run was over."""
    try:
        return str(complete_run(run_of(started), Verdict("completed", result=b"1"))["state"])
    except ClaimLost:
        return None


def extend(started: StartedJob) -> bool:
    try:
        extend_run(run_of(started), 600)
    except ClaimLost:
        return False
    return True


def ends_of(job: dict[str, Any]) -> int:
    return Event.objects.filter(job_id=job_uuid(job), type__in=TERMINAL).count()


def test_a_completion_and_the_rescue_at_the_deadline_never_both_win(racing_tenant: Tenant, race: Race) -> None:
    won = {"completed": 0, "rescued": 0}
    for _ in range(ROUNDS):
        job, started = start_later_run(racing_tenant, max_attempts=1)
        end_lease(job)
        state, reaped = race("owner", acting("web", partial(complete, started)), acting("dispatcher", reap_leases))
        assert (state is None) == (reaped.timed_out == 1)
        row = Job.objects.get(id=job_uuid(job))
        assert row.final_state == ("discarded" if state is None else "completed")
        assert Attempt.objects.get(job_id=row.id).outcome == ("timed-out" if state is None else "completed")
        assert ends_of(job) == 1
        won["rescued" if state is None else "completed"] += 1
    assert sum(won.values()) == ROUNDS


def test_of_completions_at_once_one_is_taken(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(5):
        job, started = start_later_run(racing_tenant, callback_url="http://127.0.0.1:9/")
        assert sorted(map(str, race("web", *[partial(complete, started)] * 6))) == ["None"] * 5 + ["completed"]
        assert (ends_of(job), Attempt.objects.filter(job_id=job_uuid(job)).count()) == (1, 1)


def test_a_completion_and_a_cancel_agree_on_the_end(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job, started = start_later_run(racing_tenant)

        def cancel(job: dict[str, Any] = job) -> bool:
            try:
                cancel_job(racing_tenant.id, job_uuid(job))
            except JobTerminal:
                return False
            return True

        state, is_asked = race("web", partial(complete, started), cancel)
        assert state == ("cancelled" if is_asked else "completed")
        row = Job.objects.get(id=job_uuid(job))
        assert (row.final_state, row.result_id is None) == (state, is_asked)
        assert ends_of(job) == 1


def test_an_extension_and_the_rescue_never_both_have_the_run(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job, started = start_later_run(racing_tenant)
        end_lease(job)
        is_extended, reaped = race("owner", acting("web", partial(extend, started)), acting("dispatcher", reap_leases))
        assert is_extended == (reaped.timed_out == 0)
        row = LiveJob.objects.get(job_id=job_uuid(job))
        assert row.state == ("executing" if is_extended else "retryable")
        if is_extended:
            with as_role("dispatcher"):
                assert reap_leases().timed_out == 0
        LiveJob.objects.all().delete()


def test_a_completion_that_meets_the_endpoints_own_answer_ends_the_job_once(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job, started = start_run(racing_tenant)
        state, _ = race(
            "owner", acting("web", partial(complete, started)), acting("worker", partial(hand_over, started))
        )
        assert state == "completed"
        assert (ends_of(job), Attempt.objects.filter(job_id=job_uuid(job)).count()) == (1, 1)


def test_a_completion_and_a_record_of_the_same_run_never_both_count(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job, started = start_run(racing_tenant)
        state, report = race(
            "owner",
            acting("web", partial(complete, started)),
            acting("worker", partial(record_outcomes, [outcome_of(started)])),
        )
        assert (state is not None) + report.recorded == 1
        assert (ends_of(job), Attempt.objects.filter(job_id=job_uuid(job)).count()) == (1, 1)


def test_a_cancel_that_meets_a_handover_is_not_lost(racing_tenant: Tenant, race: Race) -> None:
    for _ in range(ROUNDS):
        job, started = start_run(racing_tenant)
        shown, count = race(
            "owner",
            acting("web", partial(cancel_job, racing_tenant.id, job_uuid(job))),
            acting("worker", partial(hand_over, started)),
        )
        assert shown["cancel_requested"] is True
        row = LiveJob.objects.filter(job_id=job_uuid(job)).first()
        if count:
            assert row is not None
            assert (row.is_async, row.cancel_requested) == (True, True)
        else:
            assert (row, Job.objects.get(id=job_uuid(job)).final_state) == (None, "cancelled")


def test_a_type_that_is_written_while_its_old_endpoint_says_goodbye_stays_on(racing_tenant: Tenant, race: Race) -> None:
    put_job_type(racing_tenant.id, "work.do", HTTP)
    for _ in range(ROUNDS):
        version = JobType.objects.get().version
        race(
            "owner",
            acting("worker", partial(disable_type, racing_tenant.id, "work.do", version=version, reason="Gone.")),
            acting("web", partial(put_job_type, racing_tenant.id, "work.do", HTTP)),
        )
        assert JobType.objects.get().disabled_at is None


def test_a_job_that_is_held_while_its_type_comes_on_again_is_not_forgotten(racing_tenant: Tenant, race: Race) -> None:
    put_job_type(racing_tenant.id, "work.do", HTTP)
    for _ in range(ROUNDS):
        make_job(racing_tenant, type="work.do")
        refs: list[Ref] = claim(pool="egress")
        start(refs)
        version = JobType.objects.get().version
        with as_role("worker"):
            assert disable_type(racing_tenant.id, "work.do", version=version, reason="Gone.")

        def switch_on() -> int:
            put_job_type(racing_tenant.id, "work.do", HTTP)
            return 0

        race(
            "owner",
            acting("worker", partial(release_jobs, refs, worker_id=WORKER, hold_reason="type-disabled")),
            acting("web", switch_on),
            acting("dispatcher", resume_held_jobs),
            acting("dispatcher", resume_held_jobs),
        )
        with as_role("dispatcher"):
            resume_held_jobs()
        assert LiveJob.objects.get().state == "available"
        LiveJob.objects.all().delete()


def test_the_token_of_an_erased_tenants_run_is_worth_nothing(racing_tenant: Tenant) -> None:
    _, started = start_later_run(racing_tenant)
    with as_role("web"):
        token = make_token(run_of(started))
        forget_opened_keys()
        assert read_token(token) == run_of(started), "the keys are read again"
    erase_tenant(racing_tenant.id, progress=lambda _rows: None)
    with as_role("web"):
        assert read_token(token) is None
        assert complete(started) is None
