"""The life of a job as steps with the time between them, and how its time was spent. Pure.

Accepted, available, dispatched, started, done, called back: what happened several times stands there several times.
When it became available and was handed out is known of the last time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from jobservice.jobs.states import FINAL_STATES
from tenants.console.times import between, parse_moment, show_duration
from tenants.console.tones import DELIVERY_STATES, JOB_STATES, OUTCOMES, tone_of


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or (`at` None) that is to come. `gap` is the time since the step before."""

    at: str | None
    name: str
    tone: str
    icon: str
    note: str = ""
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """How long a job was in something, and what share of the whole; `x` and `share` are percents."""

    name: str
    tone: str
    took: str
    x: float
    share: float


def tell_steps(job: dict[str, Any], attempts: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]]) -> list[Step]:
    """The steps in the order of time, those to come at the end."""
    steps = [*_own_steps(job), *(_started(attempt) for attempt in attempts)]
    if job["state"] == "executing" and job["dispatched_at"]:
        steps.append(_running(job))
    steps += [step for event in events if (step := _of_event(event)) is not None]
    steps.sort(key=lambda step: step.at or "")
    return [*_with_gaps(steps), *_to_come(job)]


def tell_phases(job: dict[str, Any], *, now: datetime) -> list[Phase]:
    """How the time of its last run was spent, from due to done."""
    marks = [
        (_("Waiting"), "available", max(job["run_at"], job["created_at"])),
        (_("Handed out"), "dispatched", job["dispatched_at"]),
        (_("Running"), "executing", _last_start(job)),
    ]
    known = [(name, tone, parse_moment(at)) for name, tone, at in marks if at]
    end = parse_moment(job["finished_at"]) if job["finished_at"] else now
    whole = between(known[0][2], end) if known else 0
    if not whole or len(known) < len(marks) or job["state"] not in FINAL_STATES:
        return []
    phases, x = [], 0.0
    for at, (name, tone, start) in enumerate(known):
        took = between(start, known[at + 1][2] if at + 1 < len(known) else end)
        share = 100 * took / whole
        phases.append(Phase(name, tone, show_duration(took), round(x, 2), round(share, 2)))
        x += share
    return phases


def _own_steps(job: dict[str, Any]) -> list[Step]:
    steps = [Step(job["created_at"], _("Accepted"), "cancelled", "inbox", _in_queue(job))]
    if job["available_at"] and job["available_at"] > job["created_at"]:
        steps.append(Step(job["available_at"], _("Available"), "available", "hourglass"))
    if job["dispatched_at"]:
        steps.append(Step(job["dispatched_at"], _("Dispatched"), "dispatched", "send", _("Handed to a worker")))
    return steps


def _in_queue(job: dict[str, Any]) -> str:
    return _("Into the queue %(queue)s") % {"queue": job["queue"]}


def _started(attempt: dict[str, Any]) -> Step:
    name = _("Attempt %(number)s started") % {"number": attempt["number"]}
    worker = _("On %(worker)s") % {"worker": attempt["worker"]} if attempt["worker"] else ""
    return Step(attempt["started_at"], name, "executing", "play", worker)


def _running(job: dict[str, Any]) -> Step:
    """An attempt is told of when it is over: of the one that runs there is the job's own word."""
    at = _last_start(job) or job["dispatched_at"]
    return Step(at, _("Attempt %(number)s runs") % {"number": max(1, job["attempt"])}, "executing", "loader")


def _last_start(job: dict[str, Any]) -> str | None:
    """None when it is not known: the job tells its first start, and was handed out again since, which is no further
    attempt when it snoozed.
    """
    started, dispatched = job["started_at"], job["dispatched_at"]
    return started if started and dispatched and dispatched <= started else None


def _of_event(event: dict[str, Any]) -> Step | None:
    data, at = event["data"], event["at"]
    match event["type"]:
        case "job.accepted":
            return None
        case "attempt.ended":
            tone = tone_of(OUTCOMES, data["outcome"])
            name = _("Attempt %(number)s: %(outcome)s") % {"number": data["number"], "outcome": str(tone.word).lower()}
            return Step(at, name, tone.name, tone.icon, data["error_code"] or "")
        case "delivery.attempted":
            return _delivered(at, data)
        case "job.retried":
            return Step(at, _("Retried"), "available", "rotate-cw", _("By a person or the API"))
        case "job.updated":
            return Step(at, _("Changed"), "cancelled", "pencil", ", ".join(data.get("changed") or ()))
        case kind:
            word = kind.partition(".")[2]
            tone = tone_of(JOB_STATES, word)
            return Step(at, str(tone.word), tone.name, tone.icon)


def _delivered(at: str, data: dict[str, Any]) -> Step:
    answer = str(data["status"] or data["error"] or "")
    took = show_duration(data["duration_ms"])
    is_taken = data["status"] is not None and 200 <= data["status"] < 300
    tone = tone_of(DELIVERY_STATES, "delivered" if is_taken else "failed")
    name = _("Called back") if is_taken else _("Callback failed")
    return Step(at, name, tone.name, "webhook", _("%(answer)s after %(took)s") % {"answer": answer, "took": took})


def _with_gaps(steps: list[Step]) -> list[Step]:
    shown: list[Step] = []
    before: datetime | None = None
    for step in steps:
        at = parse_moment(step.at) if step.at else None
        gap = show_duration(between(before, at)) if before and at else ""
        shown.append(Step(step.at, step.name, step.tone, step.icon, step.note, gap))
        before = at or before
    return shown


def _to_come(job: dict[str, Any]) -> list[Step]:
    """What is still open in the simplest life that it can have."""
    if job["state"] in FINAL_STATES:
        return []
    names = {"scheduled": 0, "retryable": 0, "suspended": 0, "available": 1, "dispatched": 2, "executing": 3}
    open_steps = [
        Step(None, _("Available"), "available", "hourglass"),
        Step(None, _("Dispatched"), "dispatched", "send"),
        Step(None, _("Started"), "executing", "play"),
        Step(None, _("Done"), "completed", "circle-check"),
    ]
    return open_steps[names[job["state"]] :]
