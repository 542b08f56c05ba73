"""The requests that the service makes: events to endpoints and callbacks, and work to http job types."""

from __future__ import annotations

from typing import Any

from api.openapi import examples
from api.openapi.declaration import JSON, ref
from api.openapi.schemas.events import event_name
from api.openapi.schemas.values import TIME
from jobservice.egress.headers import LOOP_HEADER
from jobservice.jobs.event_examples import event_of
from jobservice.jobs.states import FINAL_STATES
from jobservice.webhooks.event_types import SENT_TYPES, TEST

# What a job's own callback is told; endpoints are told of more.
_OF_CALLBACKS = tuple(f"job.{state}" for state in FINAL_STATES)
_VERIFY = (
    "Verify `webhook-signature` (Standard Webhooks) before anything else, and refuse a `webhook-timestamp` that is "
    "more than five minutes off."
)
_SCHEMES = (
    "A callback is signed by `v1`, HMAC-SHA256 under the tenant's default secret; an endpoint by its own scheme, under "
    "its own secret or the default one: `v1`, or `v1a`, Ed25519, whose public key the endpoint shows."
)
_TO_ENDPOINTS = "Sent to each webhook endpoint that is told of it"


def _header(name: str, schema: dict[str, Any], description: str, *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": description}


def _signature_headers(of_what: str) -> list[dict[str, Any]]:
    return [
        _header("webhook-id", {"type": "string"}, f"{of_what}, the same on every try."),
        _header("webhook-timestamp", {"type": "string", "pattern": "^[0-9]+$"}, "Unix seconds of this try."),
        _header(
            "webhook-signature",
            {"type": "string", "pattern": "^v1a?,"},
            "`v1,` or `v1a,` and base64; several, with spaces, during a rotation.",
        ),
        _header("traceparent", {"type": "string"}, "As the job was submitted with.", required=False),
        _header(
            LOOP_HEADER,
            {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "Names this installation, whose API refuses what bears it: leave it out of what you send on.",
            required=False,
        ),
    ]


def _request(schema: str, example: Any) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": ref(schema), "example": example}}}


def _event(type_name: str, description: str) -> dict[str, Any]:
    told = f"{_TO_ENDPOINTS}, and to the job's `callback_url`" if type_name in _OF_CALLBACKS else _TO_ENDPOINTS
    told = "Sent to the endpoint that is tested" if type_name == TEST else told
    operation_id = "tell" + "".join(word.capitalize() for word in type_name.split("."))
    return {
        "post": {
            "operationId": operation_id,
            "summary": description.split(":")[0].removesuffix("."),
            "description": f"{description} {told}, until it is taken or for about three days. {_VERIFY} {_SCHEMES}",
            "tags": ["Events"],
            "security": [],
            "parameters": _signature_headers("The id of the event"),
            "requestBody": _request(event_name(type_name), event_of(type_name)),
            "responses": {
                "2XX": {"description": "It is taken, and not sent again."},
                "410": {
                    "description": "A callback is not sent again. An endpoint is disabled, and told of what was held "
                    "for it once it is enabled again."
                },
                "default": {
                    "description": "It is sent again, not before `Retry-After` if that is given. An endpoint that "
                    "fails every try for five days is disabled."
                },
            },
        }
    }


_RETRY_AFTER: dict[str, Any] = {
    "description": "Seconds or an HTTP date, up to 24 hours ahead: not before then.",
    "schema": {"type": "string"},
}
_RETRIED: dict[str, Any] = {
    "description": "The attempt has failed; the job is tried again by its retry policy, not before `Retry-After`. So "
    "it is when no answer comes in time.",
    "headers": {"Retry-After": _RETRY_AFTER},
}
_RUN: dict[str, Any] = {
    "post": {
        "operationId": "runJob",
        "summary": "Do a job's work",
        "description": f"Sent to the `url` of an http job type for each attempt of a job. {_VERIFY} It is signed as "
        "`http.signing` of the type says, under its own secret or the default one: by `v1`, HMAC-SHA256, or by "
        "`v1a`, Ed25519, whose public key the type shows.",
        "tags": ["Events"],
        "security": [],
        "parameters": [
            *_signature_headers("The id of the job"),
            _header("Idempotency-Key", {"type": "string"}, "The id of the job: an effect under it happens once."),
            _header("Job-Attempt", {"type": "string", "pattern": "^[0-9]+$"}, "Which attempt it is."),
            _header(
                "Job-Epoch", {"type": "string", "pattern": "^[0-9]+$"}, "Refuse one that is lower than any before."
            ),
            _header("Job-Deadline", TIME, "When the service stops waiting for the answer, or for the later end."),
            _header(
                "Job-Complete-Url",
                {"type": "string", "format": "uri"},
                "Where the job can be completed later: see `completeRun`. It is a secret, of this run alone. Left out "
                "while the operator has not said under which address the service is reached.",
                required=False,
            ),
        ],
        "requestBody": _request("JobRun", examples.runs.JOB_RUN),
        "responses": {
            "202": {
                "description": "With `Job-Completion: async`, the endpoint is at work and completes the job later, by "
                "a POST to `Job-Complete-Url` before `Job-Deadline` or the end of an extended lease; without it, the "
                "job is completed as by any 2xx.",
                "headers": {
                    "Job-Completion": {
                        "description": "`async`: the job stays executing.",
                        "schema": {"type": "string", "const": "async"},
                    }
                },
                "content": {JSON: {"schema": {}, "example": None}},
            },
            "2XX": {
                "description": "The job is completed. JSON of up to 256 KiB is its result, other text a string.",
                "content": {JSON: {"schema": {}, "example": {"pages": 3}}},
            },
            "3XX": {"description": "The job is discarded; a redirection is never followed."},
            "408": _RETRIED,
            "410": {
                "description": "The job is discarded and its type is switched off; other jobs of the type are held "
                "until the type is written again."
            },
            "425": _RETRIED,
            "429": _RETRIED,
            "489": {"description": "The job is discarded."},
            "503": {
                "description": "With `Job-Snooze`, the job is due again in so many seconds and no attempt is counted; "
                "without it, the attempt has failed as by any 5xx.",
                "headers": {
                    "Job-Snooze": {
                        "description": "Seconds, at least 1.",
                        "schema": {"type": "string", "pattern": "^[0-9]+$"},
                    },
                    "Retry-After": _RETRY_AFTER,
                },
            },
            "5XX": _RETRIED,
            "default": {
                "description": "The attempt has failed; the job is tried again by its retry policy. Any failure with "
                "`Job-Retry: false` discards the job.",
                "headers": {
                    "Job-Retry": {
                        "description": "`false`: never again.",
                        "schema": {"type": "string", "const": "false"},
                    }
                },
            },
        },
    }
}

WEBHOOKS: dict[str, Any] = {
    **{name: _event(name, description) for name, description in SENT_TYPES.items()},
    "job.run": _RUN,
}

CALLBACKS: dict[str, Any] = {
    name: {"{$request.body#/callback_url}": {"$ref": f"#/webhooks/{name}"}} for name in _OF_CALLBACKS
}
