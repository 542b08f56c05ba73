"""Runs the jobs of one message in a pool process, one after another, in its main thread.

1. Show the references on the board, then start them (fenced): what is no longer ours is left out.
2. For each: open the payload, run it, hand its outcome to the recorder, which writes while the next one runs. What the
   run reported and nobody wrote yet is written before its outcome.
3. Wait until all is written; give back what did not run; clear the board.
The parent watches the board: it renews the leases, ends runs whose time is up, and settles the group if we die.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import Error, connection

from jobservice.crash_points import crash_point
from jobservice.crypto.message_mac import Ref
from jobservice.errors import SealingError, Unavailable
from jobservice.handlers.job import Reports
from jobservice.ids import new_id
from jobservice.jobs.leases import release_jobs, start_jobs
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.outcomes import Outcome, StartedJob, Verdict, make_outcome
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.reports import ReportingRun
from jobservice.logs import log_event
from tenants.blobs import open_blob
from workers.board import Seat
from workers.board_layout import Flag
from workers.child_state import ChildState
from workers.executors.handler import run_handler
from workers.recorder import Recorder
from workers.reporter import INTERVAL_SECONDS, Reporter, RunReports, write_reports_safely

# How long what cannot be opened at the moment is held before it is given back.
AWAY_SECONDS = 1.0
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finished:
    """An outcome on its way to the database, and where its job is shown on the board."""

    outcome: Outcome
    place: int
    sequence: int
    reports: RunReports | None = None


class Executor:
    """One per pool process."""

    def __init__(self, seat: Seat, *, worker_id: Callable[[], UUID], lease_seconds: float) -> None:
        self._seat = seat
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._recorder: Recorder[Finished] = Recorder(self._write, keep_seconds=lease_seconds)
        self._reporter = Reporter()
        self._is_key_away = False
        self._state = ChildState.take()

    def run_group(self, refs: Sequence[Ref]) -> None:
        """Run what still stands of these references; returns when every outcome is written or given up."""
        worker_id = self._worker_id()
        left: dict[int, StartedJob] = {}
        self._is_key_away = False
        self._seat.open_group(refs, time.monotonic_ns())
        crash_point("board.opened")
        try:
            left = self._start(refs, worker_id)
            admitted_ns = time.monotonic_ns()
            crash_point("board.admitted")
            for place, job in list(left.items()):
                if self._run_one(place, job, worker_id, admitted_ns):
                    del left[place]
            if not self._recorder.flush(self._lease_seconds):
                log_event("record_delayed", level="error", lost=len(refs) - len(left))
        finally:
            if self._is_key_away and not self._seat.board.is_stopping:
                # Given back at once, it would come at once again, as long as the outage lasts.
                time.sleep(AWAY_SECONDS)
            self._give_back(left, worker_id)
            crash_point("board.before_close")
            self._seat.close_group()

    def stop(self) -> None:
        """End the threads; the process is about to exit."""
        self._reporter.stop(INTERVAL_SECONDS)
        self._recorder.stop(self._lease_seconds)

    def _start(self, refs: Sequence[Ref], worker_id: UUID) -> dict[int, StartedJob]:
        """The started jobs by their place on the board."""
        connection.close_if_unusable_or_obsolete()
        started = start_jobs(refs, worker_id=worker_id, group_id=new_id(), lease_seconds=self._lease_seconds)
        # A job that a message names twice runs once.
        jobs = list({job.job_id: job for job in started}.values())
        self._seat.admit([(_ref(job), job.timeout_seconds) for job in jobs], time.monotonic_ns())
        return dict(enumerate(jobs))

    def _run_one(self, place: int, job: StartedJob, worker_id: UUID, admitted_ns: int) -> bool:
        """Run it, if it may still begin. False when it did not come to an outcome and is to be given back."""
        if self._must_let_go(place):
            return False
        began_ns = time.monotonic_ns()
        self._seat.mark_running(place, began_ns)
        reports = self._reporter.open(ReportingRun(job.tenant_id, job.job_id, job.epoch, worker_id))
        crash_point("handler.before_run")
        try:
            verdict = self._judge(place, job, reports)
        except Unavailable as error:
            self._let_wait(place, job, error)
            return False
        crash_point("handler.after_run")
        reports.end()
        seconds = (time.monotonic_ns() - began_ns) / _NANOSECONDS
        self._state.restore()
        if verdict.kind != "completed" and self._must_let_go(place):
            # It was us who cut it short: no failure of the job's.
            self._seat.mark_waiting(place)
            write_reports_safely(reports)
            return False
        if seconds >= job.timeout_seconds or self._seat.flags(place) & Flag.DEADLINE:
            verdict = timed_out(job)
        started_at = job.started_at + timedelta(seconds=(began_ns - admitted_ns) / _NANOSECONDS)
        outcome = make_outcome(job, verdict, worker_id=worker_id, started_at=started_at, duration_seconds=seconds)
        # Done before it is handed over: the recorder may settle it at once.
        self._seat.mark_done(place)
        crash_point("board.done")
        self._recorder.add(Finished(outcome, place, self._seat.sequence, reports if reports.are_used else None))
        self._seat.note_run(job.handler or "", seconds * 1000)
        return True

    def _let_wait(self, place: int, job: StartedJob, error: Unavailable) -> None:
        """The job's keys are out of reach, so it did not begin: it is given back with the group."""
        self._seat.mark_waiting(place)
        self._is_key_away = True
        log_event("payload_out_of_reach", level="warning", **_names(job), error_class=type(error).__name__)

    def _judge(self, place: int, job: StartedJob, reports: RunReports) -> Verdict:
        return judge_job(job, is_cancelled=lambda: self._seat.flags(place) != Flag.NONE, reports=reports)

    def _must_let_go(self, place: int) -> bool:
        return self._seat.board.is_stopping or bool(self._seat.flags(place) & (Flag.LOST | Flag.STOP))

    def _give_back(self, left: dict[int, StartedJob], worker_id: UUID) -> None:
        """Release what has no outcome, at a stop or after a fault of ours. A lost lease is not ours to give."""
        refs = [_ref(job) for place, job in left.items() if not self._seat.flags(place) & Flag.LOST]
        if not refs:
            return
        try:
            connection.close_if_unusable_or_obsolete()
            released = release_jobs(refs, worker_id=worker_id)
        except Error as error:
            log_event("release_failed", level="warning", count=len(refs), error_class=type(error).__name__)
            return
        log_event("jobs_released", count=released)
        wake_dispatcher()

    def _write(self, finished: list[Finished]) -> None:
        for item in finished:
            if item.reports is not None:
                item.reports.write()
        record_outcomes([item.outcome for item in finished])
        crash_point("board.before_settled")
        for item in finished:
            self._seat.mark_settled(item.place, sequence=item.sequence)
        wake_dispatcher()


def judge_job(job: StartedJob, *, is_cancelled: Callable[[], bool], reports: Reports | None) -> Verdict:
    """Open the job's payload and run its handler. A payload that does not open fails for good.

    Raises `Unavailable`, before anything of the job has run, when its keys are out of reach for the moment.
    """
    try:
        payload = open_blob(job.tenant_id, kind="payload", blob_id=job.payload_id, sealed=job.sealed_payload)
    except SealingError as error:
        log_event("payload_unreadable", level="error", job_id=job.job_id, tenant_id=job.tenant_id)
        return Verdict("failed", error_code="unreadable", error_message=error.detail, is_permanent=True)
    return run_handler(job, payload, is_cancelled=is_cancelled, reports=reports)


def timed_out(job: StartedJob) -> Verdict:
    """The verdict on a run that was longer than its job allows, whatever it returned in the end."""
    return Verdict(
        "timed-out",
        error_code="timed-out",
        error_message=f"The job did not end within its {job.timeout_seconds} seconds.",
    )


def _names(job: StartedJob) -> dict[str, Any]:
    return {"tenant_id": job.tenant_id, "job_id": job.job_id, "epoch": job.epoch}


def _ref(job: StartedJob) -> Ref:
    return Ref(job.tenant_id, job.job_id, job.epoch)
