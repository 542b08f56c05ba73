"""The parameters of requests and the headers of answers, each described once."""

from __future__ import annotations

from typing import Any

from api.idempotency import MAX_KEY_CHARACTERS
from api.openapi.declaration import Parameter
from api.openapi.schemas.values import GIVEN_TIME, JOB_ID, NAME_SCHEMA, described, integer, typeid
from api.preferences import MAX_WAIT_SECONDS
from api.problems import PROBLEM_TYPES
from api.queries import DEFAULT_LIMIT, MAX_CURSOR_CHARACTERS, MAX_GIVEN_LIMIT, MAX_LIMIT
from jobservice import ids
from jobservice.jobs.options import MAX_PRIORITY
from jobservice.jobs.selectors import PARTS
from jobservice.jobs.states import STATES
from jobservice.jobs.submission import MAX_TAG_CHARACTERS, MAX_TAGS

# In double quotes, or bare: then it begins with none and neither begins nor ends with a space.
_IDEMPOTENCY_KEY = f'^("[ -~]{{1,{MAX_KEY_CHARACTERS}}}"|[!#-~]([ -~]{{0,{MAX_KEY_CHARACTERS - 2}}}[!-~])?)$'

# Those in addresses, by the names that api/urls.py gives them.
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "job_id": described(JOB_ID, "The id of a job."),
    "key_id": described(typeid(ids.API_KEY), "The id of an API key."),
    "name": described(NAME_SCHEMA, "The name of a job type."),
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
        {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": f"^[a-z0-9][a-z0-9._-]{{0,99}}:[^\\u0000]{{0,{MAX_TAG_CHARACTERS}}}$",
            },
            "maxItems": MAX_TAGS,
        },
        "`name:value` of a tag they have. May be given several times: then they have all of them.",
    ),
    Parameter("created_after", GIVEN_TIME, "Accepted at this time or later."),
    Parameter("created_before", GIVEN_TIME, "Accepted before this time."),
)
INCLUDE = Parameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(PARTS)}},
    "The sealed parts to open, separated by commas; needs the scope `payloads:read`.",
    is_exploded=False,
)
IF_MATCH = Parameter(
    "If-Match",
    {"type": "string"},
    "Do it only to the version with this ETag; `*` means any that exists.",
    place="header",
)
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
        "description": "The version of the object, for If-Match.",
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
        "description": "The tenant's requests per second; not there when there is no limit.",
        "schema": {"type": "string", "pattern": '^"api";q=[0-9]+;w=1$'},
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
