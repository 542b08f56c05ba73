"""Schemas of jobs: what is submitted, and the job as it is shown."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import (
    COUNT,
    GIVEN_TIME,
    HEADERS,
    JOB_ID,
    NAME_SCHEMA,
    STORABLE,
    TIME,
    URL,
    answered,
    described,
    integer,
    number,
    page_of,
    written,
)
from jobservice.jobs.http_request import MAX_HEADERS, MAX_STATUSES, METHODS
from jobservice.jobs.http_request import TYPE_NAME as HTTP_REQUEST
from jobservice.jobs.options import (
    MAX_AGE_SECONDS,
    MAX_ATTEMPTS,
    MAX_BACKOFF_SECONDS,
    MAX_PRIORITY,
    MAX_SCHEDULE,
    MAX_TIMEOUT_SECONDS,
)
from jobservice.jobs.states import STATES
from jobservice.jobs.submission import (
    HORIZON_SECONDS,
    MAX_KEY_CHARACTERS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    METADATA_BYTES,
)
from jobservice.jobs.type_resolution import POOLS
from jobservice.jobs.unique_option import (
    FIELDS,
    HELD_WHILE,
    KEY_CHARACTERS,
    MAX_PERIOD_SECONDS,
    MAX_POINTERS,
    ON_CONFLICT,
    POINTER,
    POINTER_CHARACTERS,
)
from jobservice.jobs.waiting import MOST_HOLDERS, REASONS

_TAGS: dict[str, Any] = {
    "type": "object",
    "description": "Names and values to find jobs by. Stored in the clear.",
    "propertyNames": NAME_SCHEMA,
    "additionalProperties": {"type": "string", "maxLength": MAX_TAG_CHARACTERS, "pattern": STORABLE},
    "maxProperties": MAX_TAGS,
}
ERROR = answered(
    {"code": {"type": "string"}, "message": {"type": ["string", "null"]}},
    description="Why an attempt failed: a stable code, and a text for people.",
)
_NOT_BOTH_DUE = {
    "required": ["run_at", "delay_seconds"],
    "properties": {"run_at": {"not": {"type": "null"}}, "delay_seconds": {"not": {"type": "null"}}},
}
_IS_HTTP_REQUEST = {"properties": {"type": {"const": HTTP_REQUEST}}, "required": ["type"]}


def _any_case(word: str) -> str:
    return "".join(f"[{letter}{letter.lower()}]" for letter in word)


# Null is the same as not given, here and below.
_DUE: dict[str, Any] = {
    "run_at": described(nullable(GIVEN_TIME), "At most one year ahead; the past means now."),
    "delay_seconds": described(nullable(integer(0, HORIZON_SECONDS)), "In place of `run_at`."),
}
# What a job and the defaults of a job type have in common.
OPTIONS: dict[str, Any] = {
    "queue": described(nullable(NAME_SCHEMA), "Made on first use. `default` unless given."),
    "priority": described(nullable(integer(0, MAX_PRIORITY)), "0 goes first. 0 unless given."),
    "timeout_seconds": described(
        nullable(integer(1, MAX_TIMEOUT_SECONDS)), "How long one attempt may take. 60 unless given."
    ),
    "max_attempts": described(nullable(integer(1, MAX_ATTEMPTS)), "How often it is tried. 20 unless given."),
    "retry": nullable(ref("RetryPolicy")),
}


def _given(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _list_of(entries: dict[str, Any], at_most: int, description: str) -> dict[str, Any]:
    return {
        "type": ["array", "null"],
        "description": description,
        "items": entries,
        "minItems": 1,
        "maxItems": at_most,
        "uniqueItems": True,
    }


_HAS_SELECTION = {"anyOf": [_given("fields"), _given("payload_pointers")]}
_POINTER = {"type": "string", "maxLength": POINTER_CHARACTERS, "pattern": f"^{POINTER}$"}
_UNIQUE: dict[str, Any] = {
    **written(
        {
            "key": {
                "type": ["string", "null"],
                "description": "The key itself, the same for all types and queues of the tenant.",
                "minLength": 1,
                "maxLength": KEY_CHARACTERS,
                "pattern": STORABLE,
            },
            "fields": _list_of(
                {"type": "string", "enum": list(FIELDS)}, len(FIELDS), "Options whose values make up the key."
            ),
            "payload_pointers": _list_of(
                _POINTER,
                MAX_POINTERS,
                "JSON Pointers (RFC 6901) to the values of the payload that make up the key, alone or with `fields`. "
                "What is not there is another value than null; 1 and 1.0 are the same.",
            ),
            "period_seconds": described(
                nullable(integer(1, MAX_PERIOD_SECONDS)),
                "The key is held at least so long from the acceptance, also when the job is over or started sooner.",
            ),
            "while": {
                "type": ["string", "null"],
                "enum": [*HELD_WHILE, None],
                "description": "`unfinished`, unless given: the key is held until the job is over. `waiting`: until it "
                "first starts.",
            },
            "on_conflict": {
                "type": ["string", "null"],
                "enum": [*ON_CONFLICT, None],
                "description": "What to do when another job holds the key. `return`, unless given: answer that job. "
                "`reject`: 409. `replace`: cancel it if it waits, else 409.",
            },
        },
        description="At most one job of the tenant holds a key at a time. Either `key`, or `fields` and "
        "`payload_pointers`: exactly what is named makes up the key.",
    ),
    # Neither both of them nor none.
    "not": {"anyOf": [{"allOf": [_given("key"), _HAS_SELECTION]}, {"not": {"anyOf": [_given("key"), _HAS_SELECTION]}}]},
}

JOB_SCHEMAS: dict[str, Any] = {
    "UniqueKey": _UNIQUE,
    "RetryPolicy": written(
        {
            "strategy": {"enum": ["exponential", "fixed", None], "type": ["string", "null"]},
            "initial_seconds": described(
                nullable(integer(0, MAX_BACKOFF_SECONDS)), "The wait after the first failure."
            ),
            "factor": described(nullable(number(1, 100)), "What each further wait is multiplied by."),
            "max_seconds": described(nullable(integer(0, MAX_BACKOFF_SECONDS)), "The longest wait."),
            "jitter": described(nullable(number(0, 1)), "By which part each wait is moved at random, up or down."),
            "max_age_seconds": described(
                nullable(integer(1, MAX_AGE_SECONDS)), "No try starts later than this after the job was accepted."
            ),
            "schedule_seconds": {
                "type": ["array", "null"],
                "description": "The waits themselves, in place of a strategy; the last one repeats.",
                "items": integer(0, MAX_BACKOFF_SECONDS),
                "minItems": 1,
                "maxItems": MAX_SCHEDULE,
            },
        },
        description="When a failed attempt is tried again. What is not given is as in the example.",
    ),
    "HttpRequestPayload": written(
        {
            "method": {"type": "string", "pattern": f"^({'|'.join(map(_any_case, METHODS))})$"},
            "url": URL,
            "headers": {**HEADERS, "maxProperties": MAX_HEADERS},
            "body": described({}, "A string is sent as text, null not at all, anything else as JSON."),
            "expect_status": {
                "description": "The statuses that complete the job; any 2xx unless given.",
                "anyOf": [
                    integer(200, 599),
                    {"type": "array", "items": integer(200, 599), "minItems": 1, "maxItems": MAX_STATUSES},
                    {"type": "null"},
                ],
            },
        },
        required=("url",),
        description=f"The payload of the built-in type `{HTTP_REQUEST}`: a call whose answer is the job's result.",
    ),
    "JobSubmission": {
        **written(
            {
                "type": described(NAME_SCHEMA, "A job type of the tenant, or one that is built in."),
                "payload": described({}, "Any JSON, up to the tenant's `payload_bytes`. Sealed before it is stored."),
                **OPTIONS,
                **_DUE,
                "start_deadline_seconds": described(
                    nullable(integer(1, HORIZON_SECONDS)),
                    "A job that has not started by then is cancelled, with the error code `expired`. Counts from when "
                    "it is due.",
                ),
                "concurrency_key": described(
                    {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": STORABLE},
                    "Of its queue's jobs with this key, no more than the queue's `key_concurrency` (1) run at once.",
                ),
                "unique": nullable(ref("UniqueKey")),
                "tags": nullable(_TAGS),
                "callback_url": described(nullable(URL), "Gets the job's terminal event, signed."),
                "metadata": described(
                    {}, f"Any JSON of up to {METADATA_BYTES} bytes; sealed, and sent back in the event."
                ),
            },
            required=("type",),
            description="A job to accept. `run_at` and `delay_seconds` exclude each other.",
        ),
        "not": _NOT_BOTH_DUE,
        "if": _IS_HTTP_REQUEST,
        "then": {"properties": {"payload": ref("HttpRequestPayload")}, "required": ["payload"]},
    },
}

_CHANGES: dict[str, Any] = {
    "priority": nullable(integer(0, MAX_PRIORITY)),
    **_DUE,
    "tags": described(nullable(_TAGS), "They replace all tags of the job."),
    "max_attempts": described(nullable(integer(1, MAX_ATTEMPTS)), "More than the job has used up already."),
}
JOB_SCHEMAS["JobChange"] = {
    **written(_CHANGES, description="What to alter of a job that waits; the rest stays as it is."),
    # Neither nothing but nulls, nor both times.
    "not": {"anyOf": [{"properties": {name: {"type": "null"} for name in _CHANGES}}, _NOT_BOTH_DUE]},
}

_JOB: dict[str, Any] = {
    "id": JOB_ID,
    "type": NAME_SCHEMA,
    "executor": {"type": "string", "enum": list(POOLS)},
    "queue": NAME_SCHEMA,
    "state": {"type": "string", "enum": list(STATES)},
    "priority": integer(0, MAX_PRIORITY),
    "attempt": described(COUNT, "0 until the first start."),
    "max_attempts": {"type": "integer", "minimum": 1},
    "crash_count": described(COUNT, "How many workers were lost while they ran it."),
    "retry_of": described(
        nullable(JOB_ID), "The job that this one was made from, in the console with an edited payload; it may be gone."
    ),
    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    "unique_key_set": described({"type": "boolean"}, "Whether it was submitted with `unique`."),
    "concurrency_key_set": {"type": "boolean"},
    "run_at": TIME,
    "created_at": TIME,
    "available_at": nullable(TIME),
    "dispatched_at": nullable(TIME),
    "started_at": described(nullable(TIME), "Of the first start."),
    "finished_at": described(nullable(TIME), "Set when the state is final."),
    "latency_ms": described(nullable(COUNT), "From due to the first start."),
    "duration_ms": described(nullable(COUNT), "Of the last attempt, once the job is over."),
    "progress": described(
        nullable(ref("JobProgress")), "Of the run under way; that of an ended one is in its attempt."
    ),
    "error": described(
        nullable(ref("JobError")), "Of the last failure; of a cancelled job, why: `cancelled`, `expired` or `replaced`."
    ),
    "cancel_requested": {"type": "boolean"},
    "deduplicated": described(
        {"type": "boolean"}, "In the answer to a submission: it is the job that holds the unique key, not a new one."
    ),
    "waiting": described(
        nullable(ref("JobWaiting")),
        "Why an unfinished job waits, when it is read alone; null in lists, and when it is held or runs.",
    ),
}
_PARTS: dict[str, Any] = {
    "payload": described({}, "With `include=payload`."),
    "result": described({}, "With `include=result`; null until the job has completed."),
    "metadata": described({}, "With `include=metadata`."),
}

JOB_SCHEMAS |= {
    "NoFields": written({}, description="There is nothing to say; the body may be left out."),
    "JobError": ERROR,
    "JobProgress": answered(
        {"percent": number(0, 100), "message": {"type": ["string", "null"]}}, description="How far an attempt is."
    ),
    "JobWaiting": answered(
        {
            "reason": described(
                {"type": "string"}, f"One of {', '.join(f'`{reason}`' for reason in REASONS)}; more will come."
            ),
            "detail": {"type": "string"},
            "limit": described({"type": "integer"}, "Of a limit that binds: what it is."),
            "held_by": described(
                {"type": "array", "items": {"type": "string"}, "maxItems": MOST_HOLDERS},
                "Of a limit of the queue or the key: some of the jobs that hold its slots.",
            ),
        },
        optional=("limit", "held_by"),
        description="What it waits for, and a sentence with its numbers.",
    ),
    "Job": answered(_JOB, description="A job. Nothing in it is sealed."),
    "JobWithParts": answered(
        {**_JOB, **_PARTS}, optional=tuple(_PARTS), description="A job, with the sealed parts that `include` names."
    ),
    "JobPage": page_of("Job", order="the newest first"),
}
