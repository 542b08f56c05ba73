"""Groups run by a pool process's executor against a real database, its recorder on its own thread and connection."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobservice.handlers import Job as RunningJob
from jobservice.handlers import JobCancelled, RetryLater, handler
from jobservice.ids import new_id
from jobservice.jobs.models import Attempt, Job, LiveJob
from jobservice.jobs.selectors import find_job
from jobservice.jobs.timeline import list_attempts
from tenants.blobs import open_blob
from tenants.models import Blob
from tests.factories import Tenant, make_tenant
from tests.races.conftest import committed, racing_tenant  # noqa: F401 (fixtures)
from tests.workers.commits import claim_in_order, every_connection_as_worker
from workers import executor as executor_module
from workers.board import Board
from workers.board_layout import Flag, JobState, Phase
from workers.executor import Executor

WORKER = new_id()


class Rig:
    """An executor on a one-seat board; `run` gives it a message."""

    def __init__(self) -> None:
        self.board = Board(seats=1, handlers=["echo", "trial"])
        self.seat = self.board.seat(0)
        self.seat.take(os.getpid())
        self.executor = Executor(self.seat, worker_id=lambda: WORKER, lease_seconds=60)

    def run(self, refs: Any) -> None:
        with every_connection_as_worker():
            self.executor.run_group(refs)


@pytest.fixture
def rig(committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:  # noqa: F811
    monkeypatch.setattr(executor_module, "wake_dispatcher", lambda: None)
    made = Rig()
    yield made
    made.executor.stop()


class Trial:
    """The handler `trial` does what the test says; registered once, for the names of handlers are read once."""

    def __init__(self) -> None:
        self.run: Any = None

    def __call__(self, function: Any) -> None:
        self.run = function


_trial = Trial()


@handler("trial")
def _run_trial(payload: Any, job: RunningJob) -> Any:
    return _trial.run(payload, job)


@pytest.fixture
def trial() -> Trial:
    """`trial(function)` makes that function the handler `trial`."""
    return _trial


def _ends(refs: Any) -> list[tuple[str | None, str | None]]:
    """For each job: the state it ended in, or waits in, and its error code."""
    found: list[tuple[str | None, str | None]] = []
    for ref in refs:
        live = LiveJob.objects.filter(job_id=ref.id).first()
        job = Job.objects.get(id=ref.id)
        found.append((live.state, live.error_code) if live else (job.final_state, job.error_code))
    return found


def _result(ref: Any) -> Any:
    result_id = Job.objects.get(id=ref.id).result_id
    assert result_id is not None
    blob = Blob.objects.get(id=result_id)
    opened = open_blob(ref.tenant_id, kind="result", blob_id=blob.id, sealed=bytes(blob.sealed), epoch=blob.epoch)
    return json.loads(opened)


def test_a_group_of_two_tenants_is_run_in_order_and_each_ends_for_itself(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    other = make_tenant()
    refs = claim_in_order(racing_tenant, {"payload": {"n": 1}}, {"type": "fail", "payload": {"times": 1}})
    refs += claim_in_order(other, {"payload": "theirs"})
    rig.run(refs)
    assert _ends(refs) == [("completed", None), ("retryable", "handler-error"), ("completed", None)]
    assert (_result(refs[0]), _result(refs[2])) == ({"n": 1}, "theirs")
    assert {attempt.worker_id for attempt in Attempt.objects.all()} == {WORKER}


def test_the_board_shows_the_group_while_it_runs_and_is_clear_after(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    seen: list[Any] = []
    trial(lambda payload, job: seen.append(rig.board.read(0)))
    refs = claim_in_order(racing_tenant, {}, {"type": "trial", "timeout_seconds": 7}, {})
    rig.run(refs)
    (snapshot,) = seen
    assert [job.ref for job in snapshot.jobs] == refs
    assert snapshot.jobs[1].timeout_seconds == 7
    assert snapshot.jobs[0].state in (JobState.DONE, JobState.SETTLED)
    assert [job.state for job in snapshot.jobs[1:]] == [JobState.RUNNING, JobState.WAITING]
    after = rig.board.read(0)
    assert after is not None
    assert (after.phase, after.jobs) == (Phase.IDLE, ())
    assert set(rig.board.run_times) == {"echo", "trial"}


def test_what_ended_before_is_written_while_the_next_one_runs(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    refs = claim_in_order(racing_tenant, {}, {"type": "trial"})

    def wait_for_the_first(payload: Any, job: RunningJob) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            snapshot = rig.board.read(0)
            if snapshot is not None and snapshot.jobs[0].state is JobState.SETTLED:
                return "written"
            job_sleep(0.02)
        return "not written"

    trial(wait_for_the_first)
    rig.run(refs)
    assert _result(refs[1]) == "written"


def job_sleep(seconds: float) -> None:
    """A handler's own wait."""
    RunningJob(id="", type="", attempt=1, epoch=1, tags={}).sleep(seconds)


def test_a_message_that_comes_twice_runs_its_jobs_once(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    runs: list[str] = []
    trial(lambda payload, job: runs.append(job.id))
    refs = claim_in_order(racing_tenant, {"type": "trial"})
    rig.run(refs + refs)
    rig.run(refs)
    assert len(runs) == 1
    assert Attempt.objects.count() == 1


def test_a_payload_that_does_not_open_fails_for_good_and_its_neighbour_runs(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    refs = claim_in_order(racing_tenant, {"payload": "a"}, {"payload": "b"})
    payload_id = Job.objects.get(id=refs[0].id).payload_id
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE blob SET sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 1) "
            "WHERE id = %s",
            [payload_id],
        )
    rig.run(refs)
    assert _ends(refs) == [("discarded", "unreadable"), ("completed", None)]


def test_a_run_longer_than_its_timeout_timed_out_whatever_it_returned(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    trial(lambda payload, job: job_sleep(1.05))
    refs = claim_in_order(racing_tenant, {"type": "trial", "timeout_seconds": 1})
    rig.run(refs)
    assert _ends(refs) == [("retryable", "timed-out")]
    assert Attempt.objects.get().outcome == "timed-out"


def test_a_stop_gives_back_what_has_not_run_and_what_it_cut_short(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def heed_the_stop(payload: Any, job: RunningJob) -> None:
        rig.board.stop()
        raise JobCancelled("asked to stop")

    trial(heed_the_stop)
    refs = claim_in_order(racing_tenant, {}, {"type": "trial"}, {})
    rig.run(refs)
    assert _ends(refs) == [("completed", None), ("available", None), ("available", None)]
    rows = LiveJob.objects.all()
    assert {(row.epoch, row.attempt, row.crash_count) for row in rows} == {(2, 0, 0)}


def test_a_run_that_was_asked_to_stop_ends_its_job_as_cancelled(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def heed(payload: Any, job: RunningJob) -> None:
        snapshot = rig.board.read(0)
        assert snapshot is not None
        rig.board.raise_flag(snapshot, 0, Flag.CANCEL)
        job.sleep(60)

    trial(heed)
    refs = claim_in_order(racing_tenant, {"type": "trial"}, {})
    rig.run(refs)
    assert _ends(refs) == [("cancelled", "cancelled"), ("completed", None)]
    assert Attempt.objects.get(job_id=refs[0].id).outcome == "cancelled"


def test_a_run_that_leaves_because_its_time_is_up_timed_out(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def leave(payload: Any, job: RunningJob) -> None:
        snapshot = rig.board.read(0)
        assert snapshot is not None
        rig.board.raise_flag(snapshot, 0, Flag.DEADLINE)
        job.stop_if_cancelled()

    trial(leave)
    refs = claim_in_order(racing_tenant, {"type": "trial"})
    rig.run(refs)
    assert _ends(refs) == [("retryable", "timed-out")]


def test_a_snoozed_job_waits_and_has_used_up_no_attempt(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    trial(lambda payload, job: job.snooze(3600))
    refs = claim_in_order(racing_tenant, {"type": "trial", "max_attempts": 1})
    rig.run(refs)
    row = LiveJob.objects.get()
    assert (row.state, row.attempt, row.crash_count) == ("scheduled", 0, 0)
    assert _seconds_until_due() > 3590
    assert Attempt.objects.get().outcome == "snoozed"


def test_a_failure_that_says_when_is_not_tried_before(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def be_busy(payload: Any, job: RunningJob) -> None:
        raise RetryLater("busy", after_seconds=1800)

    trial(be_busy)
    rig.run(claim_in_order(racing_tenant, {"type": "trial"}))
    assert LiveJob.objects.get().state == "retryable"
    assert _seconds_until_due() > 1790


def _seconds_until_due() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM job_live")
        return float(cursor.fetchone()[0])


def test_the_reason_of_a_job_that_cancelled_itself_is_its_error_and_sealed(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    trial(lambda payload, job: job.cancel("nothing left to do"))
    (ref,) = claim_in_order(racing_tenant, {"type": "trial"})
    rig.run([ref])
    found = find_job(racing_tenant.id, ref.id)
    assert found is not None
    assert (found.job["state"], found.job["error"]) == (
        "cancelled",
        {"code": "cancelled", "message": "nothing left to do"},
    )
    page = list_attempts(racing_tenant.id, ref.id, limit=1)
    assert page is not None
    assert page.data[0]["error"] == {"code": "cancelled", "message": "nothing left to do"}


def test_what_a_run_reported_last_is_written_before_its_outcome(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def report(payload: Any, job: RunningJob) -> None:
        for number in range(100):
            job.progress(number, f"step {number}")
            job.log(f"line {number}")

    trial(report)
    refs = claim_in_order(racing_tenant, {"type": "trial"}, {})
    rig.run(refs)
    page = list_attempts(racing_tenant.id, refs[0].id, limit=1)
    assert page is not None
    assert page.data[0]["progress"] == {"percent": 99, "message": "step 99"}
    assert [line["message"] for line in page.data[0]["log"]] == [f"line {number}" for number in range(100)]
    assert Blob.objects.filter(kind__in=("progress", "log")).count() == 2


def test_a_run_that_is_given_back_keeps_what_it_reported(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def stop(payload: Any, job: RunningJob) -> None:
        job.log("stopping")
        rig.board.stop()
        raise JobCancelled

    trial(stop)
    (ref,) = claim_in_order(racing_tenant, {"type": "trial"})
    rig.run([ref])
    page = list_attempts(racing_tenant.id, ref.id, limit=1)
    assert page is not None
    (attempt,) = page.data
    assert (attempt["outcome"], attempt["log"][0]["message"]) == ("released", "stopping")


def test_a_lost_job_is_neither_run_nor_given_back(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    trial: Trial,
) -> None:
    def lose_the_next(payload: Any, job: RunningJob) -> None:
        snapshot = rig.board.read(0)
        assert snapshot is not None
        rig.board.raise_flag(snapshot, 1, Flag.LOST)

    trial(lose_the_next)
    refs = claim_in_order(racing_tenant, {"type": "trial"}, {}, {})
    rig.run(refs)
    assert _ends(refs) == [("completed", None), ("executing", None), ("completed", None)]


def test_a_fault_of_ours_in_the_middle_gives_the_rest_back(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor_module, "open_blob", _away)
    refs = claim_in_order(racing_tenant, {}, {})
    with pytest.raises(OperationalError):
        rig.run(refs)
    assert _ends(refs) == [("available", None)] * 2
    snapshot = rig.board.read(0)
    assert snapshot is not None
    assert snapshot.jobs == ()


def _away(*_: Any, **__: Any) -> bytes:
    raise OperationalError("the database went away")


def test_a_group_of_which_nothing_stands_is_nothing_to_do(
    rig: Rig,
    racing_tenant: Tenant,  # noqa: F811
) -> None:
    refs = claim_in_order(racing_tenant, {})
    LiveJob.objects.update(epoch=9)
    rig.run(refs)
    assert Attempt.objects.count() == 0
    assert LiveJob.objects.get().state == "dispatched"
