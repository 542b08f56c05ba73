"""The operations on job types."""

from __future__ import annotations

from api.job_types import DeleteJobType, ListJobTypes, PutJobType, ReadJobType
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import IF_MATCH, PAGING
from api.views import ApiView

JOB_TYPE_OPERATIONS: dict[type[ApiView], Operation] = {
    ListJobTypes: Operation(
        tag="Job types",
        summary="List job types",
        parameters=PAGING,
        answers={
            200: Answer(
                "A page: the tenant's own, the newest first, then those that every tenant has.",
                ref("JobTypePage"),
                examples.page(examples.JOB_TYPE),
            )
        },
    ),
    ReadJobType: Operation(
        tag="Job types",
        summary="Read a job type",
        answers={200: Answer("The type.", ref("JobType"), examples.JOB_TYPE, headers=("ETag",))},
    ),
    PutJobType: Operation(
        tag="Job types",
        summary="Make or replace a job type",
        description="The whole type is replaced. Header values are shown as `***`; send them again, or they are lost.",
        parameters=(IF_MATCH,),
        body=Body(
            "JobTypeSpec", {"Your endpoint does the work": examples.JOB_TYPE_SPEC, "A handler": examples.HANDLER_SPEC}
        ),
        answers={
            200: Answer("The type was replaced.", ref("JobType"), examples.JOB_TYPE, headers=("ETag",)),
            201: Answer("The type is new.", ref("JobType"), examples.JOB_TYPE, headers=("ETag", "Location")),
        },
        errors=("conflict", "precondition-failed", "egress-refused", "quota-exceeded"),
    ),
    DeleteJobType: Operation(
        tag="Job types",
        summary="Delete a job type",
        description="Refused while jobs of the type are unfinished: their work would be lost.",
        parameters=(IF_MATCH,),
        answers={204: Answer("The type is gone.")},
        errors=("conflict", "precondition-failed"),
    ),
}
