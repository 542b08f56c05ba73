"""The operations on jobs."""

from __future__ import annotations

from typing import Any

from api.bulk_jobs import SubmitJobs
from api.jobs import (
    CancelJob,
    ChangeJob,
    EraseJob,
    ListAttempts,
    ListJobEvents,
    ListJobs,
    ReadJob,
    RetryJob,
    SubmitJob,
)
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import (
    BODY_ERRORS,
    IDEMPOTENCY_ERRORS,
    IDEMPOTENCY_KEY,
    INCLUDE,
    JOB_FILTERS,
    PAGING,
    PREFER_WAIT,
    TRACEPARENT,
)
from api.openapi.webhooks import CALLBACKS
from api.views import ApiView
from jobservice.jobs.event_examples import ACCEPTED_JOB, COMPLETED_JOB

_OF_THE_NEW_JOB = {"job_id": "$response.body#/id"}
_LINKS: dict[str, Any] = {
    name: {"operationId": name, "parameters": _OF_THE_NEW_JOB}
    for name in ("readJob", "changeJob", "cancelJob", "retryJob", "eraseJob", "listAttempts", "listJobEvents")
}

JOB_OPERATIONS: dict[type[ApiView], Operation] = {
    SubmitJob: Operation(
        tag="Jobs",
        summary="Submit a job",
        description="An answer of 201 is a promise: the job is stored, and will be run. A field that is null counts as "
        "not given. What is not given is decided by the job type, and then by the service. With `unique`, at most one "
        "job holds the key: the answer to a second one is 200 with the first, 409, or 201 in its place.",
        parameters=(IDEMPOTENCY_KEY, TRACEPARENT),
        body=Body(
            "JobSubmission",
            {
                "A first job": examples.jobs.ECHO,
                "Every option": examples.jobs.SUBMISSION,
                "An ad-hoc HTTP call": examples.jobs.HTTP_CALL,
                "The latest of its kind": examples.jobs.LATEST_ONLY,
            },
        ),
        answers={
            201: Answer(
                "The job is stored.",
                ref("Job"),
                ACCEPTED_JOB,
                headers=("Location", "Idempotent-Replayed"),
                links=_LINKS,
            ),
            200: Answer(
                "Another job holds the unique key; this is it, and nothing was stored.",
                ref("Job"),
                examples.jobs.DEDUPLICATED_JOB,
                headers=("Location", "Idempotent-Replayed"),
            ),
        },
        errors=("unknown-job-type", "egress-refused", "unique-conflict", "quota-exceeded", *IDEMPOTENCY_ERRORS),
        callbacks=CALLBACKS,
    ),
    SubmitJobs: Operation(
        tag="Jobs",
        summary="Submit up to 1,000 jobs",
        description="In the mode `partial` a job that is refused does not hold back the others: look at the status of "
        "each entry. Their `callback_url`s are called as those of jobs that come alone.",
        parameters=(IDEMPOTENCY_KEY, TRACEPARENT),
        body=Body("BulkSubmission", {"All or none": examples.jobs.BULK_SUBMISSION}),
        answers={
            200: Answer(
                "Each job is stored, answered with the holder of its unique key or, in the mode `partial`, refused.",
                ref("BulkResult"),
                examples.jobs.BULK_RESULT,
                headers=("Idempotent-Replayed",),
            )
        },
        errors=IDEMPOTENCY_ERRORS,
    ),
    ListJobs: Operation(
        tag="Jobs",
        summary="List jobs",
        parameters=(*JOB_FILTERS, *PAGING),
        answers={200: Answer("A page, the newest first.", ref("JobPage"), examples.page(COMPLETED_JOB))},
    ),
    ReadJob: Operation(
        tag="Jobs",
        summary="Read a job",
        parameters=(INCLUDE, PREFER_WAIT),
        answers={
            200: Answer("The job.", ref("JobWithParts"), examples.jobs.JOB_WITH_RESULT, headers=("Preference-Applied",))
        },
    ),
    ChangeJob: Operation(
        tag="Jobs",
        summary="Change a job that waits",
        description="Only what is given is altered, and only while no worker has been chosen for the job.",
        body=Body("JobChange", {"Later, and less urgent": examples.jobs.JOB_CHANGE}),
        answers={200: Answer("The job as it is now.", ref("Job"), ACCEPTED_JOB)},
        errors=("job-not-waiting",),
    ),
    EraseJob: Operation(
        tag="Jobs",
        summary="Erase a job that is over",
        description="The job and all its data, its attempts, its timeline and its deliveries are gone for good.",
        answers={204: Answer("It is erased.")},
        errors=("job-not-terminal", *BODY_ERRORS),
    ),
    CancelJob: Operation(
        tag="Jobs",
        summary="Cancel a job",
        description="A job that waits, or that no worker has started, is over at once. A run is asked to stop "
        "(`cancel_requested`), and the job is cancelled when it has, whatever the run came to.",
        body=Body("NoFields", {"Nothing to say": {}}, is_required=False),
        answers={200: Answer("The job as it is now.", ref("Job"), examples.jobs.CANCELLED_JOB)},
        errors=("job-terminal",),
    ),
    RetryJob: Operation(
        tag="Jobs",
        summary="Retry a job",
        description="A job that is over, waits for its backoff or is held is available again at once, under a new "
        "epoch and with at least one attempt left. Its earlier attempts stay. One that is over counts against the "
        "quota `open_jobs` again.",
        body=Body("NoFields", {"Nothing to say": {}}, is_required=False),
        answers={200: Answer("The job as it is now.", ref("Job"), ACCEPTED_JOB)},
        errors=("job-not-terminal", "unique-conflict", "quota-exceeded"),
    ),
    ListAttempts: Operation(
        tag="Jobs",
        summary="List the attempts of a job",
        parameters=PAGING,
        answers={200: Answer("A page, the newest first.", ref("AttemptPage"), examples.page(examples.jobs.ATTEMPT))},
    ),
    ListJobEvents: Operation(
        tag="Jobs",
        summary="Read the timeline of a job",
        parameters=PAGING,
        answers={
            200: Answer(
                "A page, in the order in which things happened.",
                ref("TimelinePage"),
                examples.page(*examples.jobs.TIMELINE),
            )
        },
    ),
}
