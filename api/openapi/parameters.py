"""The parameters of requests and the headers of answers, each described once."""

from __future__ import annotations

from typing import Any

from api.idempotency import MAX_KEY_CHARACTERS
from api.openapi.declaration import Parameter
from api.openapi.schemas.bulk_actions import TAGS
from api.openapi.schemas.values import GIVEN_TIME, JOB_ID, NAME_SCHEMA, STORABLE, described, integer, typeid
from api.preferences import MAX_WAIT_SECONDS
from api.problems import PROBLEM_TYPES
from api.queries import (
    DEFAULT_LIMIT,
    DELIVERY_PARTS,
    MAX_AUDIT_ID_CHARACTERS,
    MAX_CURSOR_CHARACTERS,
    MAX_GIVEN_LIMIT,
    MAX_LIMIT,
)
from jobservice import ids
from jobservice.jobs.completion_token import TOKEN_CHARACTERS
from jobservice.jobs.error_group_reads import STATES as ERROR_STATES
from jobservice.jobs.options import MAX_PRIORITY
from jobservice.jobs.selectors import PARTS
from jobservice.jobs.states import STATES
from jobservice.jobs.statistic_ranges import STEPS
from jobservice.webhooks.delivery_lists import STATES as DELIVERY_STATES
from jobservice.webhooks.event_types import SENT_TYPES
from tenants.audit_catalogue import ACTIONS

AUDIT_ID = {"type": "string", "maxLength": MAX_AUDIT_ID_CHARACTERS, "pattern": STORABLE}
# In double quotes, or bare: then it begins with none and neither begins nor ends with a space.
_IDEMPOTENCY_KEY = f'^("[ -~]{{1,{MAX_KEY_CHARACTERS}}}"|[!#-~]([ -~]{{0,{MAX_KEY_CHARACTERS - 2}}}[!-~])?)$'

# Those in addresses, by the names that api/urls.py gives them.
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "job_id": described(JOB_ID, "The id of a job."),
    "bulk_action_id": described(typeid(ids.BULK_ACTION), "The id of a bulk action."),
    "key_id": described(typeid(ids.API_KEY), "The id of an API key."),
    "endpoint_id": described(typeid(ids.ENDPOINT), "The id of a webhook endpoint."),
    "delivery_id": described(typeid(ids.DELIVERY), "The id of a delivery, to an endpoint or a callback."),
    "name": described(NAME_SCHEMA, "The name of a job type."),
    "queue": described(NAME_SCHEMA, "The name of a queue."),
    "error_group_id": described(typeid(ids.ERROR_GROUP), "The id of a group of errors."),
    "token": described(
        {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}$"},
        "Which run it is, signed: the end of the `Job-Complete-Url`.",
    ),
    "code": described({"type": "string", "enum": sorted(PROBLEM_TYPES)}, "The code of a problem."),
}

PAGING = (
    Parameter(
        "limit",
        {**integer(1, MAX_GIVEN_LIMIT), "default": DEFAULT_LIMIT},
        f"How many entries at most; more than {MAX_LIMIT} is the same as {MAX_LIMIT}.",
    ),
    Parameter(
        "cursor",
        {"type": "string", "pattern": f"^[0-9A-Za-z_-]{{1,{MAX_CURSOR_CHARACTERS}}}$"},
        "`next_cursor` of the page before. It belongs to this list with these filters.",
    ),
)
JOB_FILTERS = (
    Parameter("state", {"type": "string", "enum": list(STATES)}, "The state they are in."),
    Parameter("queue", NAME_SCHEMA, "The queue they are in."),
    Parameter("type", NAME_SCHEMA, "Their job type."),
    Parameter("priority", integer(0, MAX_PRIORITY), "Their priority."),
    Parameter(
        "tag",
        TAGS,
        "`name:value` of a tag they have. May be given several times: then they have all of them.",
    ),
    Parameter("created_after", GIVEN_TIME, "Accepted at this time or later."),
    Parameter("created_before", GIVEN_TIME, "Accepted before this time."),
    Parameter("error_group", typeid(ids.ERROR_GROUP), "The group of the error that they have now."),
)
STATISTICS_RANGE = (
    Parameter("queue", NAME_SCHEMA, "Of the jobs in this queue."),
    Parameter("type", NAME_SCHEMA, "Of the jobs of this type."),
    Parameter("since", GIVEN_TIME, "From when on; an hour before `until` by default."),
    Parameter("until", GIVEN_TIME, "Up to when; now by default."),
    Parameter(
        "step",
        {"type": "string", "enum": list(STEPS)},
        "How much time each point stands for; by default so much that there are at most 120.",
    ),
)
ERROR_FILTERS = (
    Parameter("state", {"type": "string", "enum": list(ERROR_STATES)}, "Whether they are open, resolved or ignored."),
    Parameter("type", NAME_SCHEMA, "The type of the jobs."),
)
INCLUDE = Parameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(PARTS)}},
    "The sealed parts to open, separated by commas; needs the scope `payloads:read`.",
    is_exploded=False,
)
DELIVERY_FILTERS = (
    Parameter("state", {"type": "string", "enum": list(DELIVERY_STATES)}, "The state they are in."),
    Parameter("event", {"type": "string", "enum": list(SENT_TYPES)}, "The type of their event."),
)
AUDIT_FILTERS = (
    Parameter(
        "actor",
        AUDIT_ID,
        "Who did it: the `id` of an API key or a member, or one of `api-key`, `member`, `operator` and `service`.",
    ),
    Parameter("action", {"type": "string", "enum": list(ACTIONS)}, "What was done."),
    Parameter("object", AUDIT_ID, "The `id` of what it was done to; of a queue or a job type its name."),
    Parameter("since", GIVEN_TIME, "Done at this time or later."),
    Parameter("until", GIVEN_TIME, "Done before this time."),
)
INCLUDE_ANSWERS = Parameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(DELIVERY_PARTS)}},
    "`answers`: what the endpoint answered, its beginning; needs the scope `payloads:read`.",
    is_exploded=False,
)
IF_MATCH = Parameter(
    "If-Match",
    {"type": "string"},
    "Do it only to the version with this ETag; `*` means any that exists.",
    place="header",
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    {"type": "string"},
    "Do it unless the object has this ETag; `*` means: only when there is none of this name.",
    place="header",
)
IF_CHANGED = Parameter(
    "If-None-Match",
    {"type": "string"},
    "The ETag of what you have: 304 without a body when nothing has changed.",
    place="header",
)
# What an operation may answer besides that has nothing to be told, and refuses a body that says something.
BODY_ERRORS = ("malformed-json", "payload-too-large", "unsupported-media-type")
# What an operation that takes the header may answer besides.
IDEMPOTENCY_ERRORS = ("idempotency-key-in-use", "idempotency-key-reused")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": _IDEMPOTENCY_KEY},
    "Makes the request safe to repeat: for 24 hours the same key with the same body gets the first answer again, byte "
    f"for byte. Up to {MAX_KEY_CHARACTERS} visible ASCII characters, bare or in double quotes; a new one for each new "
    "request.",
    place="header",
)
PREFER_WAIT = Parameter(
    "Prefer",
    {"type": "string"},
    "`wait=30` (RFC 7240): answer once the job is over, or after so many seconds. More than "
    f"{MAX_WAIT_SECONDS} is the same as {MAX_WAIT_SECONDS}; what is none of this is ignored.",
    place="header",
)
TRACEPARENT = Parameter(
    "traceparent",
    {"type": "string"},
    "W3C trace context; carried to the job's calls and events. Left out when it is malformed.",
    place="header",
)

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The id of the request: yours, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "Location": {
        "description": "Where the new object is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "Stands for this version of this object, for If-Match and If-None-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[^"]+"$'},
    },
    "Idempotent-Replayed": {
        "description": "The answer is that of an earlier request with the same Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Preference-Applied": {
        "description": "For how long the answer would have been waited for; not there when it came at once for want "
        "of room.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
    },
    "RateLimit-Policy": {
        "description": "How many requests (`q`) the tenant may make in how many seconds (`w`), or at once; "
        "not there when there is no limit.",
        "schema": {"type": "string", "pattern": '^"api";q=[0-9]+;w=[0-9]+$'},
    },
    "RateLimit": {
        "description": "How many requests are left (`r`), and in how many seconds there will be more (`t`).",
        "schema": {"type": "string", "pattern": '^"api";r=[0-9]+;t=[0-9]+$'},
    },
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "The challenge.", "required": True, "schema": {"type": "string"}},
}
# Told with every answer to a key.
RATE_LIMIT = ("RateLimit-Policy", "RateLimit")
# Which headers a problem has besides the id of the request.
PROBLEM_HEADERS: dict[str, tuple[str, ...]] = {
    "unauthenticated": ("WWW-Authenticate",),
    "unavailable": ("Retry-After",),
    "rate-limited": (*RATE_LIMIT, "Retry-After"),
}
# Those that a problem has only when there is something to say in them.
OCCASIONAL_HEADERS: dict[str, tuple[str, ...]] = {"quota-exceeded": ("Retry-After",)}
