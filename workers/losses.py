"""The pure decision about a group whose process is gone: who is to blame, and who is given back."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

from jobservice.crypto.message_mac import Ref
from workers.board import BoardJob, Flag, JobState, Phase, Snapshot

# died: by itself. deadline, lost: killed for its running job. stopped: killed because this worker lets go of all.
Cause = Literal["died", "deadline", "lost", "stopped"]

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Culprit:
    """A job to record: times out of its run, or crashed. Offsets count from the start of its group."""

    ref: Ref
    kind: Literal["timed-out", "crashed"]
    offset_seconds: float
    duration_seconds: float
    message: str


@dataclass(frozen=True, slots=True)
class Loss:
    """What is to be written about a group that nobody runs any more."""

    culprits: tuple[Culprit, ...]
    released: tuple[Ref, ...]
    lost_ns: int

    @property
    def refs(self) -> list[Ref]:
        return [*(culprit.ref for culprit in self.culprits), *self.released]


def decide_loss(snapshot: Snapshot, *, cause: Cause, ending: str, now_ns: int) -> Loss:
    """Judge the group. `ending` says in words how the process ended.

    A job whose lease is lost is somebody else's, and one that is settled is written: neither is touched. One that was
    done but perhaps not yet written counts a crash like the running one; so does one of a group that died while it
    started, or a payload too big to load would kill one process after another for ever. All others are given back.
    """
    culprits: list[Culprit] = []
    released: list[Ref] = []
    for job in snapshot.jobs:
        if job.state is JobState.SETTLED or job.flags & Flag.LOST:
            continue
        if cause == "stopped" or (job.state is JobState.WAITING and snapshot.phase is not Phase.STARTING):
            released.append(job.ref)
        else:
            culprits.append(_culprit(job, snapshot, cause, ending, now_ns))
    return Loss(tuple(culprits), tuple(released), now_ns)


def _culprit(job: BoardJob, snapshot: Snapshot, cause: Cause, ending: str, now_ns: int) -> Culprit:
    is_late = cause == "deadline" and job.state is JobState.RUNNING
    began_ns = job.started_ns or snapshot.opened_ns
    return Culprit(
        ref=job.ref,
        kind="timed-out" if is_late else "crashed",
        offset_seconds=max(0, began_ns - snapshot.opened_ns) / NANOSECONDS,
        duration_seconds=max(0, now_ns - began_ns) / NANOSECONDS,
        message=(
            f"The job did not end within its {job.timeout_seconds} seconds, and its process was killed."
            if is_late
            else f"The process that ran the job ended before its outcome was written ({ending})."
        ),
    )


def describe_ending(status: int | None, *, was_signal: bool) -> str:
    """In words, from a wait status: `killed by SIGSEGV`, `exit code 3`, `for an unknown reason`."""
    if status is None:
        return "for an unknown reason"
    if not was_signal:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(status).name}"
    except ValueError:
        return f"killed by signal {status}"
