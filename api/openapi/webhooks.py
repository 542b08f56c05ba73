"""The requests that the service makes: events to callbacks, and work to the endpoints of http job types."""

from __future__ import annotations

from typing import Any

from api.openapi import examples
from api.openapi.declaration import JSON, ref
from api.openapi.schemas.events import event_name
from api.openapi.schemas.values import TIME
from jobservice.jobs.states import FINAL_STATES

_VERIFY = (
    "Verify `webhook-signature` (Standard Webhooks v1) with the tenant's signing secret before anything else, and "
    "refuse a `webhook-timestamp` that is more than five minutes off."
)


def _header(name: str, schema: dict[str, Any], description: str, *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": description}


def _signature_headers(of_what: str) -> list[dict[str, Any]]:
    return [
        _header("webhook-id", {"type": "string"}, f"{of_what}, the same on every try."),
        _header("webhook-timestamp", {"type": "string", "pattern": "^[0-9]+$"}, "Unix seconds of this try."),
        _header("webhook-signature", {"type": "string"}, "`v1,` and base64; several, with spaces, during a rotation."),
        _header("traceparent", {"type": "string"}, "As the job was submitted with.", required=False),
    ]


def _request(schema: str, example: Any) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": ref(schema), "example": example}}}


def _event(state: str) -> dict[str, Any]:
    return {
        "post": {
            "operationId": f"tellJob{state.capitalize()}",
            "summary": f"A job is {state}",
            "description": f"Sent to the job's `callback_url`, until it is taken or for about three days. {_VERIFY}",
            "tags": ["Events"],
            "security": [],
            "parameters": _signature_headers("The id of the event"),
            "requestBody": _request(event_name(state), examples.event_of(state)),
            "responses": {
                "2XX": {"description": "It is taken, and not sent again."},
                "410": {"description": "It is not wanted, and not sent again."},
                "default": {"description": "It is sent again, not before `Retry-After` if that is given."},
            },
        }
    }


_RUN: dict[str, Any] = {
    "post": {
        "operationId": "runJob",
        "summary": "Do a job's work",
        "description": f"Sent to the `url` of an http job type for each attempt of a job. {_VERIFY}",
        "tags": ["Events"],
        "security": [],
        "parameters": [
            *_signature_headers("The id of the job"),
            _header("Idempotency-Key", {"type": "string"}, "The id of the job: an effect under it happens once."),
            _header("Job-Attempt", {"type": "string", "pattern": "^[0-9]+$"}, "Which attempt it is."),
            _header(
                "Job-Epoch", {"type": "string", "pattern": "^[0-9]+$"}, "Refuse one that is lower than any before."
            ),
            _header("Job-Deadline", TIME, "When the service stops waiting for the answer."),
        ],
        "requestBody": _request("JobRun", examples.JOB_RUN),
        "responses": {
            "2XX": {
                "description": "The job is completed. JSON of up to 256 KiB is its result, other text a string.",
                "content": {JSON: {"schema": {}, "example": {"pages": 3}}},
            },
            "410": {"description": "The job is discarded."},
            "489": {"description": "The job is discarded, as with the header `Job-Retry: false` on any failure."},
            "3XX": {"description": "The job is discarded; a redirection is never followed."},
            "default": {"description": "The attempt has failed; the job is tried again by its retry policy."},
        },
    }
}

WEBHOOKS: dict[str, Any] = {**{f"job.{state}": _event(state) for state in FINAL_STATES}, "job.run": _RUN}

CALLBACKS: dict[str, Any] = {
    f"job.{state}": {"{$request.body#/callback_url}": {"$ref": f"#/webhooks/job.{state}"}} for state in FINAL_STATES
}
