"""The pure decision about a group whose process is gone: who is to blame, and who is given back."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jobservice.crypto.message_mac import Ref
from workers.board_layout import BoardJob, Flag, JobState, Phase, Snapshot

# died: by itself. deadline, cancelled, lost: killed for one running job. stopped: because this worker lets go of all.
Cause = Literal["died", "deadline", "cancelled", "lost", "stopped"]

Kind = Literal["timed-out", "cancelled", "crashed"]

NANOSECONDS = 1_000_000_000
# What the run comes to that its process was killed for. One whose lease is lost is not touched at all.
KILLED_FOR_ONE: Mapping[Cause, Kind] = {"deadline": "timed-out", "cancelled": "cancelled", "lost": "crashed"}
_MESSAGES: Mapping[Kind, str] = {
    "timed-out": "The job did not end within its {timeout_seconds} seconds, and its process was killed.",
    "cancelled": "The job was asked to stop and did not, and its process was killed.",
    "crashed": "The process that ran the job ended before its outcome was written ({ending}).",
}


@dataclass(frozen=True, slots=True)
class Culprit:
    """A job to record: out of its time, cancelled, or crashed. Offsets count from the start of its group."""

    ref: Ref
    kind: Kind
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


def decide_loss(snapshot: Snapshot, *, cause: Cause, place: int = -1, ending: str, now_ns: int) -> Loss:
    """Judge the group. `ending` says in words how the process ended, `place` is of the job it was killed for.

    A job whose lease is lost is somebody else's, and one that is settled is written: neither is touched. One that was
    done but perhaps not yet written counts a crash like the running one; so does one of a group that died while it
    started, or a payload too big to load would kill one process after another for ever. All others are given back, and
    so is one that had just begun when we killed its process for its predecessor.
    """
    culprits: list[Culprit] = []
    released: list[Ref] = []
    is_ours = cause in KILLED_FOR_ONE
    for position, job in enumerate(snapshot.jobs):
        if job.state is JobState.SETTLED or job.flags & Flag.LOST:
            continue
        is_waiting = job.state is JobState.WAITING and snapshot.phase is not Phase.STARTING
        is_bystander = is_ours and job.state is JobState.RUNNING and position != place
        if cause == "stopped" or is_waiting or is_bystander:
            released.append(job.ref)
        else:
            culprits.append(_culprit(job, snapshot, cause, ending, now_ns))
    return Loss(tuple(culprits), tuple(released), now_ns)


def _culprit(job: BoardJob, snapshot: Snapshot, cause: Cause, ending: str, now_ns: int) -> Culprit:
    kind = KILLED_FOR_ONE.get(cause, "crashed") if job.state is JobState.RUNNING else "crashed"
    began_ns = job.started_ns or snapshot.opened_ns
    return Culprit(
        ref=job.ref,
        kind=kind,
        offset_seconds=max(0, began_ns - snapshot.opened_ns) / NANOSECONDS,
        duration_seconds=max(0, now_ns - began_ns) / NANOSECONDS,
        message=_MESSAGES[kind].format(timeout_seconds=job.timeout_seconds, ending=ending),
    )


UNKNOWN_ENDING = "for an unknown reason"


def describe_ending(status: int | None, *, was_signal: bool) -> str:
    """In words, from a wait status: `killed by SIGSEGV`, `exit code 3`, `for an unknown reason`."""
    if status is None:
        return UNKNOWN_ENDING
    if not was_signal:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(status).name}"
    except ValueError:
        return f"killed by signal {status}"
