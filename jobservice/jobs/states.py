"""The states of a job, and which of them wait, run or are over. The database's CHECKs state the same."""

from __future__ import annotations

from typing import Literal

LiveState = Literal["scheduled", "available", "dispatched", "executing", "retryable", "suspended"]
FinalState = Literal["completed", "discarded", "cancelled"]

LIVE_STATES: tuple[LiveState, ...] = ("scheduled", "available", "dispatched", "executing", "retryable", "suspended")
# Nobody has been given the job yet.
WAITING_STATES: tuple[LiveState, ...] = ("scheduled", "available", "retryable", "suspended")
FINAL_STATES: tuple[FinalState, ...] = ("completed", "discarded", "cancelled")
STATES: tuple[str, ...] = LIVE_STATES + FINAL_STATES

# Seconds of age that one step of priority is worth inside a lane: rank = due + priority times this. A job of priority 9
# is overtaken by later jobs of priority 0 for at most nine steps, so it is never starved.
PRIORITY_STEP_SECONDS = 60
