"""Who is to blame for a lost group, and who is given back."""

from __future__ import annotations

import signal

import pytest

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from workers.board_layout import BoardJob, Flag, JobState, Phase, Snapshot
from workers.losses import Cause, decide_loss, describe_ending

SECOND = 1_000_000_000
W, R, D, S = JobState.WAITING, JobState.RUNNING, JobState.DONE, JobState.SETTLED


def make_snapshot(*states: JobState, lost: int | None = None, phase: Phase = Phase.RUNNING) -> Snapshot:
    jobs = [
        BoardJob(
            ref=Ref(new_id(), new_id(), 1),
            timeout_seconds=2,
            state=state,
            started_ns=0 if state is W else 11 * SECOND,
            flags=Flag.LOST if place == lost else Flag.NONE,
        )
        for place, state in enumerate(states)
    ]
    return Snapshot(seat=0, pid=1, sequence=2, phase=phase, opened_ns=10 * SECOND, jobs=tuple(jobs))


@pytest.mark.parametrize(
    ("cause", "states", "lost", "expected"),
    [
        ("died", [S, R, W, W], None, ["-", "crashed", "released", "released"]),
        ("died", [D, R, W], None, ["crashed", "crashed", "released"]),
        ("died", [S, S, W], None, ["-", "-", "released"]),
        ("deadline", [S, R, W], None, ["-", "timed-out", "released"]),
        ("deadline", [D, R], None, ["crashed", "timed-out"]),
        ("cancelled", [S, R, W], None, ["-", "cancelled", "released"]),
        ("cancelled", [R, W], 0, ["-", "released"]),
        ("lost", [S, R, W], 1, ["-", "-", "released"]),
        ("lost", [D, R, W], 1, ["crashed", "-", "released"]),
        ("died", [R, W], 1, ["crashed", "-"]),
        ("stopped", [S, D, R, W], None, ["-", "released", "released", "released"]),
        ("stopped", [R, W], 0, ["-", "released"]),
    ],
)
def test_each_job_of_a_lost_group_is_judged_by_where_it_was(
    cause: Cause, states: list[JobState], lost: int | None, expected: list[str]
) -> None:
    snapshot = make_snapshot(*states, lost=lost)
    place = states.index(R) if R in states else -1
    loss = decide_loss(snapshot, cause=cause, place=place, ending="killed by SIGKILL", now_ns=14 * SECOND)
    kinds = {culprit.ref: str(culprit.kind) for culprit in loss.culprits} | dict.fromkeys(loss.released, "released")
    assert [kinds.get(job.ref, "-") for job in snapshot.jobs] == expected


def test_a_group_that_died_while_it_started_counts_a_crash() -> None:
    loss = decide_loss(make_snapshot(W, W, phase=Phase.STARTING), cause="died", ending="exit code 1", now_ns=0)
    assert [culprit.kind for culprit in loss.culprits] == ["crashed", "crashed"]


@pytest.mark.parametrize("cause", ["deadline", "cancelled", "lost"])
def test_a_job_that_had_just_begun_when_its_predecessor_was_to_be_killed_is_given_back(cause: Cause) -> None:
    snapshot = make_snapshot(S, R, W)
    loss = decide_loss(snapshot, cause=cause, place=0, ending="killed by SIGKILL", now_ns=14 * SECOND)
    assert (loss.culprits, len(loss.released)) == ((), 2)


def test_a_culprit_carries_when_it_ran_and_why_it_ended() -> None:
    loss = decide_loss(make_snapshot(R), cause="died", ending="killed by SIGSEGV", now_ns=14 * SECOND)
    (culprit,) = loss.culprits
    assert (culprit.offset_seconds, culprit.duration_seconds) == (1.0, 3.0)
    assert "killed by SIGSEGV" in culprit.message
    (late,) = decide_loss(make_snapshot(R), cause="deadline", place=0, ending="", now_ns=14 * SECOND).culprits
    assert "within its 2 seconds" in late.message


def test_an_ending_is_told_in_words() -> None:
    assert describe_ending(3, was_signal=False) == "exit code 3"
    assert describe_ending(signal.SIGSEGV, was_signal=True) == "killed by SIGSEGV"
    assert describe_ending(63, was_signal=True) == "killed by signal 63"
    assert describe_ending(None, was_signal=False) == "for an unknown reason"
