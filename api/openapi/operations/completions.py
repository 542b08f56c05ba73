"""The operations on a run that its endpoint completes later."""

from __future__ import annotations

from api.completions import CompleteRun, ExtendRun, ReportProgress
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import RATE_LIMIT
from api.views import ApiView

_ERRORS = ("invalid", "lease-lost", "rate-limited")

COMPLETION_OPERATIONS: dict[type[ApiView], Operation] = {
    CompleteRun: Operation(
        tag="Later ends",
        summary="Complete a run",
        description="Whoever comes first ends the run: 409 `lease-lost` says that it is over already, be it by this "
        "very request sent before, by its deadline, or because its job was cancelled. The completion may come before "
        "the endpoint's own answer of 202.",
        body=Body(
            "Completion",
            {
                "The work is done": examples.runs.COMPLETION,
                "It failed": examples.runs.FAILED_COMPLETION,
                "Later": examples.runs.SNOOZED_COMPLETION,
                "It was given up": {"outcome": "cancelled"},
            },
        ),
        answers={
            200: Answer("The run is over.", ref("CompletedRun"), examples.runs.COMPLETED_RUN, headers=RATE_LIMIT),
        },
        errors=_ERRORS,
    ),
    ExtendRun: Operation(
        tag="Later ends",
        summary="Extend the lease of a run",
        description="The lease then lasts until `seconds` from now, or as long as before if that is longer: at first "
        "it is what is left of the job's `timeout_seconds`. Look at `cancel_requested` each time.",
        body=Body("LeaseExtension", {"Ten more minutes": examples.runs.EXTENSION}),
        answers={
            200: Answer(
                "The lease as it is now.", ref("ExtendedLease"), examples.runs.EXTENDED_LEASE, headers=RATE_LIMIT
            ),
        },
        errors=_ERRORS,
    ),
    ReportProgress: Operation(
        tag="Later ends",
        summary="Report the progress of a run",
        description="Shown as the job's `progress`, and kept with the attempt. The lease stays as it is.",
        body=Body("ProgressReport", {"Nearly half": examples.runs.PROGRESS_REPORT}),
        answers={
            200: Answer("It is noted.", ref("ProgressNoted"), {"cancel_requested": False}, headers=RATE_LIMIT),
        },
        errors=_ERRORS,
    ),
}
