"""The operations on job types."""

from __future__ import annotations

from api.job_types import DeleteJobType, ListJobTypes, PutJobType, ReadJobType, RotateTypeSecret
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import BODY_ERRORS, IF_CHANGED, IF_MATCH, IF_NONE_MATCH, PAGING
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
                examples.page(examples.job_types.JOB_TYPE),
            )
        },
    ),
    ReadJobType: Operation(
        tag="Job types",
        summary="Read a job type",
        parameters=(IF_CHANGED,),
        answers={
            200: Answer("The type.", ref("JobType"), examples.job_types.JOB_TYPE, headers=("ETag",)),
            304: Answer("You have it already.", headers=("ETag",)),
        },
    ),
    PutJobType: Operation(
        tag="Job types",
        summary="Make or replace a job type",
        description="The whole type is replaced. Header values are shown as `***`; send them again, or they are lost. "
        "A `v1` secret of its own is answered by the request that makes it, this once. A type that goes on asking for "
        "one keeps it, and one that does not loses it.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        body=Body(
            "JobTypeSpec",
            {
                "Your endpoint does the work": examples.job_types.JOB_TYPE_SPEC,
                "It verifies with a secret of its own": examples.job_types.SIGNED_TYPE_SPEC,
                "A handler": examples.job_types.HANDLER_SPEC,
            },
        ),
        answers={
            200: Answer("The type was replaced.", ref("JobType"), examples.job_types.JOB_TYPE, headers=("ETag",)),
            201: Answer(
                "The type is new.", ref("JobType"), examples.job_types.SIGNED_TYPE, headers=("ETag", "Location")
            ),
        },
        errors=("conflict", "precondition-failed", "egress-refused", "quota-exceeded"),
    ),
    RotateTypeSecret: Operation(
        tag="Job types",
        summary="Replace the signing secret of a job type",
        description="The secret until now signs beside the new one for the overlap. Refused of a type that has none of "
        "its own: the tenant's default secret is rotated for all at once.",
        body=Body("SecretRotationRequest", {"Both sign for a day": {"overlap_seconds": 86_400}}, is_required=False),
        answers={
            200: Answer(
                "The type, with its new secret or public key.",
                ref("JobType"),
                examples.job_types.SIGNED_TYPE,
                headers=("ETag",),
            )
        },
        errors=("conflict", "no-own-secret"),
    ),
    DeleteJobType: Operation(
        tag="Job types",
        summary="Delete a job type",
        description="Refused while jobs of the type are unfinished: their work would be lost.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        answers={204: Answer("The type is gone.")},
        errors=("conflict", "precondition-failed", *BODY_ERRORS),
    ),
}
