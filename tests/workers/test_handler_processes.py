"""Handlers that will not end, and handlers that take their process with them: real processes, signals and commits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.handlers import Job as RunningJob
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.timeline import list_attempts
from tests.factories import Tenant
from tests.jobs.dispatching import claim
from tests.races.conftest import committed, racing_tenant  # noqa: F401 (fixtures)
from tests.stopwatch import Stopwatch
from tests.workers.commits import claim_in_order
from tests.workers.handler_process import HandlerProcess, ask_to_cancel, crashes_of, has_log, outcomes_of, state_of
from workers import executor as executor_module
from workers import lease_keeper as keeper_module
from workers import watchdog as watchdog_module

pytestmark = [pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"), pytest.mark.deep]


@pytest.fixture
def process(committed: None, monkeypatch: pytest.MonkeyPatch) -> HandlerProcess:  # noqa: F811
    monkeypatch.setattr(executor_module, "wake_dispatcher", lambda: None)
    monkeypatch.setattr(keeper_module, "wake_dispatcher", lambda: None)
    # As soon as with a short lease, which a slow machine would let run out in the middle of a test.
    monkeypatch.setattr(watchdog_module, "CANCEL_GRACE_SECONDS", 1.0)
    return HandlerProcess(lease_seconds=60)


def spin(payload: Any, job: RunningJob) -> None:
    """Never lets go of the interpreter for long, and never looks."""
    while True:
        pass


def sleep_in_c(payload: Any, job: RunningJob) -> None:
    time.sleep(600)


def read_for_ever(payload: Any, job: RunningJob) -> None:
    ours, _theirs = os.pipe()
    os.read(ours, 1)


def catch_everything(payload: Any, job: RunningJob) -> None:
    while True:
        # What a careless handler does: it catches its own end too.
        with contextlib.suppress(BaseException):
            job.sleep(0.2)


def block_signals(payload: Any, job: RunningJob) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


STUBBORN = [spin, sleep_in_c, read_for_ever, catch_everything, block_signals]


@pytest.mark.parametrize("body", STUBBORN)
def test_no_run_outlives_its_time_and_its_neighbours_do_not_notice(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
    body: Any,
) -> None:
    refs = claim_in_order(racing_tenant, {}, {"type": "forked", "timeout_seconds": 1}, {})

    def run(payload: Any, job: RunningJob) -> Any:
        process.await_settled(0)
        return body(payload, job)

    with Stopwatch() as watch:
        process.run(refs, run)
    assert watch.moving_seconds < 30
    assert [state_of(ref) for ref in refs] == ["completed", "retryable", "available"]
    assert [outcomes_of(ref) for ref in refs] == [["completed"], ["timed-out"], ["released"]]
    assert [crashes_of(ref) for ref in refs] == [0, 0, 0]
    row = LiveJob.objects.get(job_id=refs[1].id)
    assert (row.attempt, row.error_code) == (1, "timed-out")
    assert LiveJob.objects.get(job_id=refs[2].id).attempt == 0


@pytest.mark.parametrize("body", STUBBORN)
def test_no_run_outlives_its_cancellation_for_long(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
    body: Any,
) -> None:
    refs = claim_in_order(racing_tenant, {"type": "forked", "timeout_seconds": 600}, {})

    def run(payload: Any, job: RunningJob) -> Any:
        ask_to_cancel(refs[0])
        return body(payload, job)

    process.run(refs, run)
    assert [state_of(ref) for ref in refs] == ["cancelled", "available"]
    assert [outcomes_of(ref) for ref in refs] == [["cancelled"], ["released"]]
    assert [crashes_of(ref) for ref in refs] == [0, 0]
    assert Job.objects.get(id=refs[0].id).error_code == "cancelled"


def test_a_run_that_heeds_its_cancellation_is_told_within_two_seconds_and_its_neighbour_runs(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    refs = claim_in_order(racing_tenant, {"type": "forked", "timeout_seconds": 600}, {})

    def run(payload: Any, job: RunningJob) -> Any:
        ask_to_cancel(refs[0])
        with Stopwatch() as watch:
            while not job.cancelled:
                time.sleep(0.01)
        job.log(f"{watch.moving_seconds:.3f}")
        job.stop_if_cancelled()

    process.run(refs, run)
    assert [state_of(ref) for ref in refs] == ["cancelled", "completed"]
    page = list_attempts(racing_tenant.id, refs[0].id, limit=1)
    assert page is not None
    assert float(page.data[0]["log"][0]["message"]) < 2


def test_what_a_cancelled_run_returns_all_the_same_is_not_its_result(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    (ref,) = claim_in_order(racing_tenant, {"type": "forked"})

    def run(payload: Any, job: RunningJob) -> str:
        ask_to_cancel(ref)
        return "done"

    process.run([ref], run)
    assert (state_of(ref), outcomes_of(ref)) == ("cancelled", ["cancelled"])
    assert Job.objects.get(id=ref.id).result_id is None


def fall(payload: Any, job: RunningJob) -> None:
    ctypes.string_at(0)


def leave(payload: Any, job: RunningJob) -> None:
    os._exit(7)


def eat_memory(payload: Any, job: RunningJob) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, resource.getrlimit(resource.RLIMIT_AS)[1]))
    bytearray(4 * 1024**3)


def be_killed(payload: Any, job: RunningJob) -> None:
    """As the kernel does when the machine runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def abort(payload: Any, job: RunningJob) -> None:
    """As a C library does that has no memory, or finds its own broken."""
    os.abort()


CRASHES = {
    "segfault": (fall, "killed by SIGSEGV"),
    "exit": (leave, "exit code 7"),
    "memory": (eat_memory, "out of memory"),
    "kill": (be_killed, "killed by SIGKILL"),
    "abort": (abort, "killed by SIGABRT"),
}


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_costs_one_attempt_and_the_third_one_holds_the_job(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
    crash: str,
) -> None:
    body, sentence = CRASHES[crash]
    refs = claim_in_order(racing_tenant, {}, {"type": "forked", "max_attempts": 1}, {})

    def run(payload: Any, job: RunningJob) -> Any:
        process.await_settled(0)
        return body(payload, job)

    process.run(refs, run)
    assert (state_of(refs[1]), outcomes_of(refs[1]), crashes_of(refs[1])) == ("available", ["crashed"], 1)
    # Memory runs out in an orderly way, so that the group goes on; the others take their process with them.
    after = "completed" if crash == "memory" else "available"
    assert [state_of(refs[0]), state_of(refs[2])] == ["completed", after]
    assert [crashes_of(refs[0]), crashes_of(refs[2])] == [0, 0]
    for crashes in (2, 3):
        LiveJob.objects.exclude(job_id=refs[1].id).update(due_at=Now(), available_at=None, state="scheduled")
        (again,) = [ref for ref in claim() if ref.id == refs[1].id]
        process.run([again], body)
        assert crashes_of(again) == crashes
    row = LiveJob.objects.get(job_id=refs[1].id)
    assert (row.state, row.suspended_reason, row.error_code) == ("suspended", "crashes", "crashed")
    page = list_attempts(racing_tenant.id, refs[1].id, limit=5)
    assert page is not None
    assert [sentence in attempt["error"]["message"] for attempt in page.data] == [True] * 3


def test_a_type_that_says_so_is_discarded_by_its_first_crash(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    put_job_type(racing_tenant.id, "once", {"executor": "handler", "handler": "forked", "on_crash": "discard"})
    refs = claim_in_order(racing_tenant, {"type": "once"}, {})
    process.run(refs, fall)
    assert [state_of(ref) for ref in refs] == ["discarded", "available"]
    job = Job.objects.get(id=refs[0].id)
    assert (job.crash_count, job.error_code) == (1, "crashed")
    assert Attempt.objects.get(job_id=job.id).outcome == "crashed"


def test_a_crash_leaves_what_was_reported_a_second_before(
    process: HandlerProcess,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    (ref,) = claim_in_order(racing_tenant, {"type": "forked"})

    def run(payload: Any, job: RunningJob) -> None:
        job.progress(40, "two of five")
        job.log("the last words")
        while not has_log(ref):
            time.sleep(0.02)
        os._exit(1)

    process.run([ref], run)
    page = list_attempts(racing_tenant.id, ref.id, limit=1)
    assert page is not None
    (attempt,) = page.data
    assert (attempt["outcome"], attempt["progress"]) == ("crashed", {"percent": 40, "message": "two of five"})
    assert [line["message"] for line in attempt["log"]] == ["the last words"]
