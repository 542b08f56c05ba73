"""What the generator of requests must know beyond the document. Loaded by schemathesis, not by pytest.

- Random job types are unknown, so that no job would ever be stored: those that are well formed become `echo`.
- A schema says what a request looks like, not what exists: valid data may be refused for the reasons named here, and
  for no other.
"""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_KEPT_TYPES = ("echo", "fail", "http.request")
# Refusals that depend on what is stored, on the clock or on the operator's settings.
_CODES = {"unknown-job-type", "egress-refused", "precondition-failed"}
_FAULTS = {
    ("/cursor", "bad-cursor"),
    ("/run_at", "out-of-range"),
    ("/handler", "out-of-range"),
    ("/http/headers", "bad-format"),
    ("/payload/headers", "bad-format"),
    ("/callback_url", "egress-refused"),
    ("/payload/url", "egress-refused"),
    ("/http/url", "egress-refused"),
}


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """A well-formed type becomes one that exists."""
    if context.operation is None or context.operation.label != "POST /v1/jobs":
        return body
    if isinstance(body, dict) and isinstance(body.get("type"), str) and body["type"] not in _KEPT_TYPES:
        return {**body, "type": "echo"} if _NAME.fullmatch(body["type"]) else body
    return body


@schemathesis.check
def valid_data_is_taken(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """The generator's own check, but for refusals that no schema can foretell."""
    if response.status_code in (412, 422) and _is_beyond_a_schema(json.loads(response.content)):
        return None
    return positive_data_acceptance(ctx, response, case)


def _is_beyond_a_schema(problem: dict[str, Any]) -> bool:
    if problem["code"] == "invalid":
        return {(fault["pointer"], fault["code"]) for fault in problem["errors"]} <= _FAULTS
    return problem["code"] in _CODES
