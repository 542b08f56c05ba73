"""What the generator of requests must know beyond the document. Loaded by schemathesis, not by pytest.

- Random job types are unknown, so that no job would ever be stored: those that are well formed become `echo`.
- A schema says what a request looks like, not what exists: valid data may be refused for the reasons named here, and
  for no other.
- Of a group of jobs in the mode `partial` the wrong ones are refused in their entries.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import urlsplit

import schemathesis
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    status_code_conformance,
    use_after_free,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_OWN_KEY_ID = os.environ.get("TEST_OWN_KEY_ID")
_JOB_OF_A_GROUP = re.compile("^/jobs/[0-9]+")
_KEPT_TYPES = ("echo", "fail", "http.request")
# A list of nothing, which is right, and one of an empty text, which is not, are written alike.
_EMPTY_LIST = "include="
# A request line or headers that are too long for any operation.
_ANYWHERE = (414, 431)
# Refusals that depend on what is stored, on the clock or on the operator's settings.
_CODES = {"unknown-job-type", "egress-refused", "precondition-failed", "idempotency-key-reused"}
_FAULTS = {
    ("/cursor", "bad-cursor"),
    ("/run_at", "out-of-range"),
    ("/handler", "out-of-range"),
    ("/http/headers", "bad-format"),
    ("/payload/headers", "bad-format"),
    ("/callback_url", "egress-refused"),
    ("/payload/url", "egress-refused"),
    ("/http/url", "egress-refused"),
    ("/url", "egress-refused"),
    ("/headers", "bad-format"),
    ("/type", "unknown-job-type"),
    # Another job has the key already, and the group is taken as a whole or not at all.
    ("/unique", "unique-conflict"),
}

_FAULTS_OF = {
    # A filter whose fields are null or empty says nothing.
    "POST /v1/jobs/bulk-actions": {("/filter", "required")},
    # Which of two times is the later one, and which are in the past.
    "POST /v1/webhook-endpoints/{endpoint_id}/replay": {("/since", "out-of-range"), ("/until", "out-of-range")},
    # The same; and how many points there are between them, or how long ago they are.
    "GET /v1/statistics": {("/since", "out-of-range"), ("/until", "out-of-range"), ("/step", "out-of-range")},
    # A job may have used up its attempts already.
    "PATCH /v1/jobs/{job_id}": {("/max_attempts", "out-of-range")},
    # Of a network and of what is printable a schema knows little.
    "POST /v1/api-keys": {("/cidrs", "bad-format"), ("/name", "bad-format"), ("/expires_at", "out-of-range")},
}


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """A well-formed type becomes one that exists."""
    label = "" if context.operation is None else context.operation.label
    if label == "POST /v1/jobs/bulk" and isinstance(body, dict) and isinstance(body.get("jobs"), list):
        return {**body, "jobs": [_known(job) for job in body["jobs"]]}
    return _known(body) if label == "POST /v1/jobs" else body


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """The key that all requests are made with is not the one to be revoked or replaced."""
    if (case.path_parameters or {}).get("key_id") == _OWN_KEY_ID:
        case.path_parameters["key_id"] = "key_00000000000000000000000000"


@schemathesis.check
def valid_data_is_taken(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """The generator's own check, but for refusals that no schema can foretell."""
    is_refused = response.status_code in (412, 422)
    if is_refused and _is_beyond_a_schema(json.loads(response.content), case.operation.label):
        return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.check
def wrong_data_is_refused(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """The generator's own check; a group may be refused in part, and what does not fit into a request line is too."""
    if response.status_code in _ANYWHERE or urlsplit(response.request.url).query == _EMPTY_LIST:
        return None
    if response.status_code == 200 and case.operation.label == "POST /v1/jobs/bulk":
        entries = json.loads(response.content)["data"]
        if any("problem" in entry for entry in entries):
            return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.check
def status_is_documented(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """The generator's own check, but for what is answered before it is known which operation is meant."""
    return None if response.status_code in _ANYWHERE else status_code_conformance(ctx, response, case)


@schemathesis.check
def deleted_is_gone(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """The generator's own check; a revoked API key stays to be seen, so that its use can be told."""
    return None if case.operation.path.startswith("/v1/api-keys") else use_after_free(ctx, response, case)


def _known(job: Any) -> Any:
    if isinstance(job, dict) and isinstance(job.get("type"), str) and job["type"] not in _KEPT_TYPES:
        return {**job, "type": "echo"} if _NAME.fullmatch(job["type"]) else job
    return job


def _shorten(pointer: str) -> str:
    """A fault of a job of a group as one of a job alone; one inside a schema or a list as one of the whole."""
    pointer = _JOB_OF_A_GROUP.sub("", pointer)
    return re.sub("^(/payload_schema|/cidrs)/.*", r"\1", pointer)


def _is_beyond_a_schema(problem: dict[str, Any], label: str) -> bool:
    if problem["code"] == "invalid":
        faults = {(_shorten(fault["pointer"]), fault["code"]) for fault in problem["errors"]}
        # What a JSON Schema may be, the document does not say.
        if label == "PUT /v1/job-types/{name}":
            faults = {fault for fault in faults if fault[0] != "/payload_schema"}
        return faults <= _FAULTS | _FAULTS_OF.get(label, set())
    return problem["code"] in _CODES
