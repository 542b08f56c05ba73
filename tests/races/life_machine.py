"""Every verb of a job's life in any order, by workers that may be stale, against `life_model.py`.

Rules act through the product's own doors as the role that has them; only the clock is moved behind their back. A run of
the machine is one transaction, rolled back: nobody else is there to see it, and races have tests of their own.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.claims import claim_jobs, return_claims, stage_due_jobs
from jobservice.jobs.erase import erase_job
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.lanes import deactivate_idle_lanes
from jobservice.jobs.leases import release_jobs, renew_leases, start_jobs
from jobservice.jobs.outcomes import Outcome, StartedJob
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.retry import retry_job
from tenants.data_keys import forget_opened_keys, tenant_keys
from tests.factories import make_job
from tests.jobs.dispatching import job_uuid
from tests.races import life_model
from tests.races.life_machine_state import LifeMachineState
from tests.races.life_rows import STEP, WORKERS, compare_rows
from tests.roles import as_role

QUEUES = ("default", "mail")
DISCARDING = "fragile"  # a job type whose crashes end its jobs
KINDS = ("completed", "failed", "timed-out", "snoozed", "cancelled", "crashed")

recent = st.integers(0, 7)  # the n-th newest
steps = st.integers(0, 3).map(lambda n: n * STEP)
leases = st.integers(1, 2).map(lambda n: n * STEP)
workers = st.integers(0, len(WORKERS) - 1)
endings = st.fixed_dictionaries(
    {
        "kinds": st.lists(st.sampled_from(KINDS), min_size=3, max_size=3),
        "wait": steps,
        "is_permanent": st.sampled_from((False, False, True)),
    }
)
submissions = st.fixed_dictionaries(
    {
        "tenant": st.integers(0, 1),
        "queue": st.sampled_from(QUEUES),
        "delay": st.sampled_from((0, 0, 0, STEP)),
        "deadline": st.sampled_from((None, None, None, 2 * STEP)),
        "max_attempts": st.integers(1, 3),
        "backoff": st.sampled_from((0, STEP)),
        "on_crash": st.sampled_from(("retry", "retry", "retry", "discard")),
        "has_callback": st.booleans(),
        "priority": st.integers(0, 2),
    }
)

_CLOCK = """
UPDATE job_live SET due_at = due_at - d, lease_until = lease_until - d, start_deadline_at = start_deadline_at - d
FROM make_interval(secs => %(seconds)s) AS d
"""


class LifeMachine(LifeMachineState):
    @initialize(asked=st.lists(submissions, min_size=2, max_size=4))
    def begin(self, asked: list[dict[str, Any]]) -> None:
        # Loaded outside of the transaction, as a process does, and anew before they are too old.
        forget_opened_keys()
        for tenant in self.tenants:
            tenant_keys(tenant.id)
        self._undone.enter_context(transaction.atomic())
        for options in asked:
            self._submit(**options)

    # What clients do.

    @precondition(lambda self: len(self.jobs) < 6)
    @rule(asked=submissions)
    def submit(self, asked: dict[str, Any]) -> None:
        self._submit(**asked)

    def _submit(self, *, tenant: int, queue: str, has_callback: bool, **options: Any) -> None:
        owner = self.tenants[tenant]
        with as_role("web"):
            shown = make_job(
                owner,
                type=DISCARDING if options["on_crash"] == "discard" else "echo",
                queue=queue,
                priority=options["priority"],
                delay_seconds=options["delay"],
                start_deadline_seconds=options["deadline"],
                max_attempts=options["max_attempts"],
                retry={"strategy": "fixed", "initial_seconds": options["backoff"], "jitter": 0},
                callback_url="http://127.0.0.1:9/done" if has_callback else None,
            )
        job_id = job_uuid(shown)
        self.tenant_of[job_id] = owner.id
        self.made.append(job_id)
        self.jobs[job_id] = life_model.accept(has_callback=has_callback, **options)
        assert shown["state"] == self.jobs[job_id].state

    @precondition(lambda self: self.made)
    @rule(nth=recent)
    def cancel(self, nth: int) -> None:
        self._ask(nth, cancel_job, life_model.cancel)

    @precondition(lambda self: self._has(*life_model.OVER, "retryable", "suspended"))
    @rule(nth=recent)
    def retry(self, nth: int) -> None:
        self._ask(nth, retry_job, life_model.retry)

    @precondition(lambda self: self.made)
    @rule(
        nth=recent,
        delay=st.sampled_from((None, 0, STEP, 2 * STEP)),
        priority=st.sampled_from((None, 0, 5)),
        max_attempts=st.sampled_from((None, 1, 4)),
    )
    def change(self, nth: int, *, delay: int | None, priority: int | None, max_attempts: int | None) -> None:
        wanted = JobChange(priority=priority, delay_seconds=delay, max_attempts=max_attempts)
        self._ask(
            nth,
            lambda tenant_id, job_id: change_job(tenant_id, job_id, wanted),
            lambda job: life_model.change(job, delay=delay, priority=priority, max_attempts=max_attempts),
        )

    @precondition(lambda self: self._has(*life_model.OVER))
    @rule(nth=recent)
    def erase(self, nth: int) -> None:
        job_id = self._newest(self.made, nth)
        job = self.jobs.get(job_id)
        is_allowed = job is not None and life_model.may_erase(job)
        assert self._is_done(lambda: erase_job(self.tenant_of[job_id], job_id), "web") == is_allowed
        if is_allowed:
            del self.jobs[job_id]

    # What the dispatcher does.

    @precondition(lambda self: self._has("available"))
    @rule(
        then=st.sampled_from(("wait", "start", "start", "record", "record")),
        limit=st.integers(1, 3),
        worker=workers,
        lease=leases,
        how=endings,
    )
    def claim(self, then: str, limit: int, worker: int, lease: int, how: dict[str, Any]) -> None:
        """Often with what mostly follows, so that jobs live through much in few steps."""
        refs = self._claim(limit, lease)
        runs = [] if then == "wait" else self._start(refs, worker, lease)
        if then == "record" and runs:
            self._record(runs, **how)

    def _claim(self, limit: int, lease: int) -> list[Ref]:
        with as_role("dispatcher"):
            claimed = [one.ref for one in claim_jobs("handlers", limit=limit, lease_seconds=lease)]
        available = sum(job.state == "available" for job in self.jobs.values())
        assert len({ref.id for ref in claimed}) == len(claimed) == min(limit, available)
        for ref in claimed:
            self._move(ref.id, life_model.claim(self.jobs[ref.id], lease))
            assert (ref.tenant_id, ref.epoch) == (self.tenant_of[ref.id], self.jobs[ref.id].epoch)
        # In the order in which they were made, for the database's depends on its plan, and a run must be repeatable.
        claimed.sort(key=lambda ref: self.made.index(ref.id))
        self.messages += claimed
        return claimed

    @precondition(lambda self: self.messages)
    @rule(nths=st.lists(recent, min_size=1, max_size=3))
    def return_claims(self, nths: list[int]) -> None:
        self._return_claims(self._several(self.messages, nths))

    def _return_claims(self, refs: list[Ref]) -> None:
        moved = self._move_all(refs, lambda job, ref: life_model.give_back(job, ref.epoch))
        with as_role("dispatcher"):
            assert return_claims(refs) == len(moved)

    @precondition(lambda self: self._has("scheduled", "retryable"))
    @rule()
    def stage(self) -> None:
        self._stage()

    def _stage(self) -> None:
        moved = self._move_every(life_model.stage)
        with as_role("dispatcher"):
            assert stage_due_jobs() == moved

    @precondition(lambda self: any(job.deadline is not None for job in self.jobs.values()))
    @rule()
    def expire(self) -> None:
        moved = self._move_every(life_model.expire)
        with as_role("dispatcher"):
            assert expire_jobs() == moved

    @precondition(lambda self: self._has("dispatched", "executing"))
    @rule()
    def reap(self) -> None:
        self._reap()

    @precondition(lambda self: self._has("dispatched", "executing"))
    @rule()
    def let_every_lease_end(self) -> None:
        """Whoever holds a job now is silent for longer than its lease."""
        self._pass_time(2 * STEP)
        self._reap()

    def _reap(self) -> None:
        was_running = sum(
            job.state == "executing" and job.lease <= 0 for job in self.jobs.values() if job.lease is not None
        )
        moved = self._move_every(life_model.reap)
        with as_role("dispatcher"):
            reaped = reap_leases()
        assert (reaped.crashed, reaped.returned) == (was_running, moved - was_running)

    @rule()
    def put_lanes_to_sleep(self) -> None:
        self._move_clock("UPDATE lane SET served_at = served_at - interval '1 hour'")
        with as_role("dispatcher"), transaction.atomic():
            deactivate_idle_lanes()

    # What workers do, with any message and any run they ever had.

    @precondition(lambda self: self.messages)
    @rule(nths=st.lists(recent, min_size=1, max_size=3), worker=workers, lease=leases)
    def start(self, nths: list[int], worker: int, lease: int) -> None:
        self._start(self._several(self.messages, nths), worker, lease)

    def _start(self, refs: list[Ref], worker: int, lease: int) -> list[tuple[StartedJob, int]]:
        moved = self._move_all(refs, lambda job, ref: life_model.start(job, ref.epoch, worker, lease))
        with as_role("worker"):
            started = start_jobs(refs, worker_id=WORKERS[worker], group_id=new_id(), lease_seconds=lease)
        assert [(job.job_id, job.epoch) for job in started] == [(ref.id, ref.epoch) for ref in moved]
        for job in started:
            life = self.jobs[job.job_id]
            assert (job.attempt, job.crash_count, job.max_attempts) == (life.attempt, life.crashes, life.max_attempts)
        runs = [(job, worker) for job in started]
        self.runs += runs
        return runs

    @precondition(lambda self: self.runs)
    @rule(nths=st.lists(recent, min_size=1, max_size=3), how=endings)
    def record(self, nths: list[int], how: dict[str, Any]) -> None:
        self._record(self._several(self.runs, nths), **how)

    def _record(self, runs: list[tuple[StartedJob, int]], kinds: list[str], wait: int, is_permanent: bool) -> None:
        kind_of = {(run.job_id, run.epoch): kind for (run, _), kind in zip(runs, kinds, strict=False)}
        moved = self._move_all(
            [_ref(run) for run, _ in runs],
            lambda job, ref: life_model.record(
                job, ref.epoch, kind_of[ref.id, ref.epoch], wait=wait, is_permanent=is_permanent
            ),
        )
        outcomes = [
            _outcome(run, WORKERS[worker], kind_of[run.job_id, run.epoch], wait, is_permanent) for run, worker in runs
        ]
        with as_role("worker"):
            report = record_outcomes(outcomes)
        assert report.recorded == len(moved)
        written = {(ref.id, ref.epoch) for ref in moved}
        assert {(lost.job.job_id, lost.job.epoch) for lost in report.lost} == set(kind_of) - written

    @precondition(lambda self: self.runs)
    @rule(nths=st.lists(recent, min_size=1, max_size=3), worker=workers, lease=leases)
    def renew(self, nths: list[int], worker: int, lease: int) -> None:
        self._renew(self._several(self.runs, nths), worker, lease)

    def _renew(self, runs: list[tuple[StartedJob, int]], worker: int, lease: int) -> None:
        refs = [_ref(run) for run, _ in runs]
        moved = self._move_all(refs, lambda job, ref: life_model.renew(job, ref.epoch, worker, lease))
        with as_role("worker"):
            renewal = renew_leases(refs, worker_id=WORKERS[worker], lease_seconds=lease)
        assert renewal.kept == {(ref.id, ref.epoch) for ref in moved}
        assert renewal.cancelled == {(ref.id, ref.epoch) for ref in moved if self.jobs[ref.id].is_cancel_asked}

    @precondition(lambda self: self.runs)
    @rule(
        nths=st.lists(recent, min_size=1, max_size=3),
        stranger=st.sampled_from((None, None, None, 0, 1)),
        reason=st.sampled_from((None, None, "type-disabled")),
    )
    def release(self, nths: list[int], stranger: int | None, reason: Any) -> None:
        """By the worker that started the newest of these runs, or by another, who has no right to."""
        runs = self._several(self.runs, nths)
        self._release(runs, runs[0][1] if stranger is None else stranger, reason)

    def _release(self, runs: list[tuple[StartedJob, int]], worker: int, reason: Any) -> None:
        refs = [_ref(run) for run, _ in runs]
        moved = self._move_all(refs, lambda job, ref: life_model.release(job, ref.epoch, worker, reason))
        with as_role("worker"):
            assert release_jobs(refs, worker_id=WORKERS[worker], hold_reason=reason) == len(moved)

    @precondition(lambda self: self._stale_runs())
    @rule(nth=recent, write=st.sampled_from(("record", "renew", "release")), how=endings)
    def write_late(self, nth: int, write: str, how: dict[str, Any]) -> None:
        """By a worker whose run is over, while the same job runs again."""
        run, worker = self._newest(self._stale_runs(), nth)
        if write == "record":
            self._record([(run, worker)], **how)
        elif write == "renew":
            self._renew([(run, worker)], worker, STEP)
        else:
            self._release([(run, worker)], worker, None)

    @precondition(lambda self: self._stale_messages())
    @rule(nth=recent, is_started=st.booleans(), worker=workers)
    def deliver_late(self, nth: int, is_started: bool, worker: int) -> None:
        """A message that is over, while the same job is claimed again."""
        ref = self._newest(self._stale_messages(), nth)
        if is_started:
            self._start([ref], worker, STEP)
        else:
            self._return_claims([ref])

    def _stale_runs(self) -> list[tuple[StartedJob, int]]:
        return [(run, worker) for run, worker in self.runs if self._is_again(run.job_id, run.epoch, "executing")]

    def _stale_messages(self) -> list[Ref]:
        return [ref for ref in self.messages if self._is_again(ref.id, ref.epoch, "dispatched")]

    def _is_again(self, job_id: UUID, epoch: int, state: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.state == state and job.epoch > epoch

    # What nobody does.

    @rule(seconds=st.integers(1, 2).map(lambda n: n * STEP), is_staged=st.booleans())
    def let_time_pass(self, seconds: int, is_staged: bool) -> None:
        self._pass_time(seconds)
        if is_staged:
            self._stage()

    def _pass_time(self, seconds: int) -> None:
        self._move_clock(_CLOCK, seconds=seconds)
        self.jobs = {job_id: life_model.pass_time(job, seconds) for job_id, job in self.jobs.items()}

    # What must always hold.

    @invariant()
    def database_and_model_agree(self) -> None:
        if not self.made:
            return
        compare_rows([tenant.id for tenant in self.tenants], self.jobs)


def _ref(run: StartedJob) -> Ref:
    return Ref(run.tenant_id, run.job_id, run.epoch)


def _outcome(run: StartedJob, worker_id: UUID, kind: Any, wait: int, is_permanent: bool) -> Outcome:
    is_failure = kind in ("failed", "timed-out")
    return Outcome(
        job=run,
        kind=kind,
        worker_id=worker_id,
        started_at=run.started_at,
        duration_seconds=0.01,
        result=b"{}" if kind == "completed" else None,
        error_code=kind if is_failure else None,
        error_message="no" if is_failure else None,
        is_permanent=is_permanent,
        retry_after_seconds=wait if is_failure else None,
        snooze_seconds=wait if kind == "snoozed" else None,
    )
