"""The life of a job as the product's pages tell it, without a database: what each verb makes of one job.

Written from the words about states, attempts, crashes, epochs and deadlines, and not from the code that it judges. Each
verb answers the job as it is afterwards, or None when it must change nothing. Times are seconds left, as of now.
A new verb is a function here and a rule in `life_machine.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

CRASHES_TO_HOLD = 3
WAITING = ("scheduled", "available", "retryable", "suspended")
OVER = ("completed", "discarded", "cancelled")


@dataclass(frozen=True, slots=True)
class Life:
    """One job. `attempts` are (number, epoch, outcome), `events` are (type, epoch); `has_begun` ends its deadline."""

    state: str
    max_attempts: int
    backoff: int
    on_crash: str
    due: int
    deadline: int | None
    has_callback: bool
    priority: int = 0
    epoch: int = 0
    attempt: int = 0
    crashes: int = 0
    lease: int | None = None
    holder: int | None = None
    is_cancel_asked: bool = False
    has_begun: bool = False
    reason: str | None = None
    error: str | None = None
    attempts: tuple[tuple[int, int, str], ...] = ()
    events: tuple[tuple[str, int], ...] = ()


def accept(*, delay: int, deadline: int | None, **options: object) -> Life:
    state = "scheduled" if delay else "available"
    return Life(state=state, due=delay, deadline=None if deadline is None else delay + deadline, **options)  # type: ignore[arg-type]


def pass_time(job: Life, seconds: int) -> Life:
    deadline = None if job.deadline is None else job.deadline - seconds
    lease = None if job.lease is None else job.lease - seconds
    return replace(job, due=job.due - seconds, deadline=deadline, lease=lease)


def stage(job: Life) -> Life | None:
    return replace(job, state="available") if job.state in ("scheduled", "retryable") and job.due <= 0 else None


def claim(job: Life, lease: int) -> Life | None:
    return replace(job, state="dispatched", epoch=job.epoch + 1, lease=lease) if job.state == "available" else None


def give_back(job: Life, epoch: int) -> Life | None:
    """A claim that no worker started: nothing is counted."""
    if (job.state, job.epoch) != ("dispatched", epoch):
        return None
    return replace(job, state="available", epoch=epoch + 1, lease=None)


def start(job: Life, epoch: int, worker: int, lease: int) -> Life | None:
    if (job.state, job.epoch) != ("dispatched", epoch) or _is_late(job):
        return None
    return replace(job, state="executing", attempt=job.attempt + 1, holder=worker, lease=lease, has_begun=True)


def renew(job: Life, epoch: int, worker: int, lease: int) -> Life | None:
    return replace(job, lease=lease) if _is_held(job, epoch) and job.holder == worker else None


def record(job: Life, epoch: int, kind: str, *, wait: int = 0, is_permanent: bool = False) -> Life | None:
    return _settle(job, kind, wait=wait, is_permanent=is_permanent) if _is_held(job, epoch) else None


def release(job: Life, epoch: int, worker: int, reason: str | None) -> Life | None:
    return _settle(job, "released", reason=reason) if _is_held(job, epoch) and job.holder == worker else None


def reap(job: Life) -> Life | None:
    if job.lease is None or job.lease > 0:
        return None
    return _settle(job, "crashed") if job.state == "executing" else give_back(job, job.epoch)


def expire(job: Life) -> Life | None:
    is_waiting = job.state in ("scheduled", "available", "dispatched")
    return _end(job, "cancelled", "expired") if is_waiting and _is_late(job) else None


def cancel(job: Life) -> Life | None:
    if job.state in OVER:
        return None
    if job.state != "executing":
        return _end(job, "cancelled", "cancelled")
    told = job.events if job.is_cancel_asked else (*job.events, ("job.cancel_requested", job.epoch))
    return replace(job, is_cancel_asked=True, events=told)


def retry(job: Life) -> Life | None:
    if job.state not in (*OVER, "retryable", "suspended"):
        return None
    again = replace(job, state="available", epoch=job.epoch + 1, crashes=0, due=0, deadline=None, reason=None)
    again = replace(again, max_attempts=max(job.max_attempts, job.attempt + 1))
    again = replace(again, error=None if job.state in OVER else job.error)
    return replace(again, events=(*job.events, ("job.retried", again.epoch)))


def change(job: Life, *, delay: int | None, priority: int | None, max_attempts: int | None) -> Life | None:
    if job.state not in WAITING or (max_attempts is not None and max_attempts <= job.attempt - job.crashes):
        return None
    new = replace(job, priority=job.priority if priority is None else priority)
    new = replace(new, max_attempts=max_attempts or job.max_attempts)
    is_told = new != job or delay is not None
    if delay is not None:
        deadline = None if job.deadline is None else job.deadline + delay - job.due
        stays = job.state == "suspended" or (job.state == "retryable" and delay > 0)
        state = job.state if stays else "scheduled" if delay else "available"
        new = replace(new, state=state, due=delay, deadline=deadline)
    return replace(new, events=(*job.events, ("job.updated", job.epoch))) if is_told else new


def may_erase(job: Life) -> bool:
    return job.state in OVER


def _is_held(job: Life, epoch: int) -> bool:
    return (job.state, job.epoch) == ("executing", epoch)


def _is_late(job: Life) -> bool:
    return job.deadline is not None and job.deadline <= 0 and not job.has_begun


def _settle(job: Life, kind: str, *, wait: int = 0, is_permanent: bool = False, reason: str | None = None) -> Life:
    """A run is over: its attempt is kept, and the job ends, waits, is held, or runs again."""
    outcome = "cancelled" if job.is_cancel_asked and kind != "crashed" else kind
    crashes = job.crashes + (kind == "crashed")
    job = replace(job, attempts=(*job.attempts, (job.attempt, job.epoch, outcome)), crashes=crashes)
    if job.is_cancel_asked or kind == "cancelled":
        return _end(job, "cancelled", "cancelled")
    if kind == "completed":
        return _end(job, "completed", None)
    if kind == "crashed" and job.on_crash == "discard":
        return _end(job, "discarded", kind)
    if kind in ("failed", "timed-out"):
        if is_permanent or job.attempt - job.crashes >= job.max_attempts:
            return _end(job, "discarded", kind)
        return replace(_let_go(job), state="retryable", due=max(job.backoff, wait), error=kind)
    if kind == "snoozed":
        return replace(_let_go(job), state="scheduled", due=wait, attempt=job.attempt - 1)
    if kind == "crashed":
        is_poison = job.crashes >= CRASHES_TO_HOLD
        back = replace(_let_go(job), epoch=job.epoch + 1, error=kind)
        return _hold(back, "crashes", job.epoch) if is_poison else replace(back, state="available")
    back = replace(_let_go(job), epoch=job.epoch + 1, attempt=job.attempt - 1)
    if reason:
        return _hold(back, reason, job.epoch)
    # It began in time: a deadline that passed meanwhile has been met.
    deadline = back.deadline if back.deadline is None or back.deadline > 0 else None
    return replace(back, state="available", has_begun=back.attempt > 0, deadline=deadline)


def _hold(job: Life, reason: str, epoch: int) -> Life:
    return replace(job, state="suspended", reason=reason, events=(*job.events, ("job.suspended", epoch)))


def _let_go(job: Life) -> Life:
    return replace(job, lease=None, holder=None, is_cancel_asked=False, reason=None)


def _end(job: Life, state: str, error: str | None) -> Life:
    """The one end, told by the one event."""
    return replace(_let_go(job), state=state, error=error, events=(*job.events, (f"job.{state}", job.epoch)))
