"""The operations of the service itself: probes, this document, and the pages of problems."""

from __future__ import annotations

from api.health import Health, Readiness
from api.metrics import ReadMetrics
from api.openapi.declaration import Answer, Operation, ref
from api.openapi.views import ReadDocument
from api.problem_pages import ReadProblemPage
from api.views import ApiView

SERVICE_OPERATIONS: dict[type[ApiView], Operation] = {
    Health: Operation(
        tag="Service",
        summary="Is the process up?",
        answers={200: Answer("It is.", ref("Health"), {"status": "ok"})},
    ),
    Readiness: Operation(
        tag="Service",
        summary="Can the service do its work?",
        description="503 says in `detail` what is not ready.",
        answers={200: Answer("It can.", ref("Readiness"), {"status": "ready"})},
    ),
    ReadMetrics: Operation(
        tag="Service",
        summary="Read the metrics",
        description="In Prometheus' text format. For this machine itself, or with the operator's metrics token as a "
        "bearer token; a tenant's key does not open it.",
        answers={200: Answer("Everything that is counted.", {"type": "string"}, media_type="text/plain")},
        errors=("forbidden",),
    ),
    ReadDocument: Operation(
        tag="Service",
        summary="Read this document",
        answers={
            200: Answer("The document.", ref("OpenApiDocument"), {"openapi": "3.1.0"}, headers=("ETag",)),
            304: Answer("You have it already: `If-None-Match` names its ETag.", headers=("ETag",)),
        },
        errors=("invalid",),
    ),
    ReadProblemPage: Operation(
        tag="Service",
        summary="Read about a problem",
        description="The page that a problem's `type` leads to: its cause, and what to do about it.",
        answers={200: Answer("A page for people.", {"type": "string"}, media_type="text/html")},
    ),
}
