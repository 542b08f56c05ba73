"""The states of a job, which of them wait, run or are over, and every way from one to another.

The database's CHECKs state what each may hold; the statements of `sql/` guard each arrow on its source and its epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

LiveState = Literal["scheduled", "available", "dispatched", "executing", "retryable", "suspended"]
FinalState = Literal["completed", "discarded", "cancelled"]
State = LiveState | FinalState
# Who moves a job: each is a function of this package. `record` is the word of a run's worker, `reap` what is done for
# a worker that fell silent.
Verb = Literal[
    "claim",
    "return",
    "start",
    "record",
    "release",
    "reap",
    "stage",
    "change",
    "expire",
    "cancel",
    "replace",
    "retry",
    "resume",
]

LIVE_STATES: tuple[LiveState, ...] = ("scheduled", "available", "dispatched", "executing", "retryable", "suspended")
# Nobody has been given the job yet.
WAITING_STATES: tuple[LiveState, ...] = ("scheduled", "available", "retryable", "suspended")
# No run has begun that would have to be stopped.
UNSTARTED_STATES: tuple[LiveState, ...] = (*WAITING_STATES, "dispatched")
FINAL_STATES: tuple[FinalState, ...] = ("completed", "discarded", "cancelled")
STATES: tuple[str, ...] = LIVE_STATES + FINAL_STATES
VERBS: tuple[Verb, ...] = get_args(Verb)


@dataclass(frozen=True, slots=True)
class Transition:
    """Arrows that one reason draws: their letter in the diagram of docs/jobs.md, who draws them, and when."""

    letter: str
    sources: tuple[State, ...]
    target: State
    verbs: tuple[Verb, ...]
    when: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition("a", ("scheduled", "retryable"), "available", ("stage",), "its time has come"),
    Transition("b", ("available",), "dispatched", ("claim",), "it is its lane's turn"),
    Transition("c", ("dispatched",), "executing", ("start",), "a worker starts it under the epoch of its claim"),
    Transition("d", ("executing",), "completed", ("record",), "the run succeeded"),
    Transition(
        "e", ("executing",), "retryable", ("record", "reap"), "the run failed or its time was up, and a try is left"
    ),
    Transition(
        "f",
        ("executing",),
        "discarded",
        ("record", "reap"),
        "its attempts are used up, the failure is permanent, or it crashed and its type says `discard`",
    ),
    Transition(
        "g",
        UNSTARTED_STATES,
        "cancelled",
        ("cancel", "replace"),
        "somebody cancels it, or submits a job that replaces it",
    ),
    Transition(
        "g", ("scheduled", "available", "dispatched"), "cancelled", ("expire",), "it did not start by its deadline"
    ),
    Transition(
        "g",
        ("executing",),
        "cancelled",
        ("record", "release", "reap"),
        "somebody asked to cancel it, and its run is over, whatever came of it",
    ),
    Transition(
        "h",
        ("dispatched",),
        "available",
        ("return", "reap"),
        "its message was not sent or was lost: nothing is counted",
    ),
    Transition("h", ("executing",), "available", ("record", "reap"), "its worker died: a crash is counted"),
    Transition("h", ("executing",), "available", ("release",), "its worker gave it back: nothing is counted"),
    Transition(
        "i", ("executing",), "scheduled", ("record",), "the run asked for a later time (snooze): no attempt is counted"
    ),
    Transition("j", ("executing",), "suspended", ("record", "reap"), "its third crash"),
    Transition("j", ("executing",), "suspended", ("release",), "its type was switched off"),
    Transition("k", ("suspended",), "available", ("retry",), "a person or a program lets it run again"),
    Transition("k", ("suspended",), "available", ("resume",), "its type is on again"),
    Transition("l", (*FINAL_STATES, "retryable"), "available", ("retry",), "a person or a program lets it run again"),
    Transition("m", ("available", "scheduled"), "scheduled", ("change",), "a PATCH puts it off"),
    Transition("m", ("scheduled", "available", "retryable"), "available", ("change",), "a PATCH makes it due"),
)

# Seconds of age that one step of priority is worth inside a lane: rank = due + priority times this. A job of priority 9
# is overtaken by later jobs of priority 0 for at most nine steps, so it is never starved.
PRIORITY_STEP_SECONDS = 60


def sources_of(verb: Verb) -> frozenset[State]:
    """The states out of which the verb moves a job; in any other it changes nothing."""
    return frozenset(state for arrow in TRANSITIONS if verb in arrow.verbs for state in arrow.sources)
