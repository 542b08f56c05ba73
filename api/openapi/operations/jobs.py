"""The operations on jobs."""

from __future__ import annotations

from typing import Any

from api.jobs import ListAttempts, ListJobEvents, ListJobs, ReadJob, SubmitJob
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import INCLUDE, JOB_FILTERS, PAGING, TRACEPARENT
from api.openapi.webhooks import CALLBACKS
from api.views import ApiView

_OF_THE_NEW_JOB = {"job_id": "$response.body#/id"}
_LINKS: dict[str, Any] = {
    name: {"operationId": name, "parameters": _OF_THE_NEW_JOB} for name in ("readJob", "listAttempts", "listJobEvents")
}

JOB_OPERATIONS: dict[type[ApiView], Operation] = {
    SubmitJob: Operation(
        tag="Jobs",
        summary="Submit a job",
        description="An answer of 201 is a promise: the job is stored, and will be run. A field that is null counts as "
        "not given. What is not given is decided by the job type, and then by the service.",
        parameters=(TRACEPARENT,),
        body=Body(
            "JobSubmission",
            {
                "A first job": examples.ECHO,
                "Every option": examples.SUBMISSION,
                "An ad-hoc HTTP call": examples.HTTP_CALL,
            },
        ),
        answers={
            201: Answer("The job is stored.", ref("Job"), examples.ACCEPTED_JOB, headers=("Location",), links=_LINKS)
        },
        errors=("unknown-job-type", "egress-refused"),
        callbacks=CALLBACKS,
    ),
    ListJobs: Operation(
        tag="Jobs",
        summary="List jobs",
        parameters=(*JOB_FILTERS, *PAGING),
        answers={200: Answer("A page, the newest first.", ref("JobPage"), examples.page(examples.COMPLETED_JOB))},
    ),
    ReadJob: Operation(
        tag="Jobs",
        summary="Read a job",
        parameters=(INCLUDE,),
        answers={200: Answer("The job.", ref("JobWithParts"), examples.JOB_WITH_RESULT)},
    ),
    ListAttempts: Operation(
        tag="Jobs",
        summary="List the attempts of a job",
        parameters=PAGING,
        answers={200: Answer("A page, the newest first.", ref("AttemptPage"), examples.page(examples.ATTEMPT))},
    ),
    ListJobEvents: Operation(
        tag="Jobs",
        summary="Read the timeline of a job",
        parameters=PAGING,
        answers={
            200: Answer(
                "A page, in the order in which things happened.", ref("TimelinePage"), examples.page(*examples.TIMELINE)
            )
        },
    ),
}
