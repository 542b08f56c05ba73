"""Schemas of webhook endpoints, of the deliveries to them, and of the list of event types."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable, ref
from api.openapi.schemas.values import (
    COUNT,
    GIVEN_TIME,
    HEADERS,
    JOB_ID,
    NAME_SCHEMA,
    TIME,
    URL,
    answered,
    described,
    integer,
    page_of,
    typeid,
    written,
)
from jobservice import ids
from jobservice.target_fields import MASK, MAX_HEADERS
from jobservice.webhooks.delivery_lists import MAX_ATTEMPTS, STATES
from jobservice.webhooks.endpoint_spec import MAX_FILTER_NAMES
from jobservice.webhooks.endpoint_spec import STATUSES as WRITTEN_STATUSES
from jobservice.webhooks.event_types import ALL, EVENT_TYPES, SENT_TYPES
from jobservice.webhooks.replay_filters import REPLAYED_STATES

_EVENT = {"type": "string", "enum": [ALL, *EVENT_TYPES]}


def _filter(items: dict[str, Any], text: str) -> dict[str, Any]:
    bounds = {"minItems": 1, "maxItems": MAX_FILTER_NAMES}
    return {"type": ["array", "null"], "items": items, **bounds, "description": text}


_REPLAYED_STATE = {"type": "string", "enum": list(REPLAYED_STATES)}
_SETTINGS: dict[str, Any] = {
    "url": described(URL, "Where events are POSTed to; sealed when stored."),
    "events": _filter(_EVENT, f"The types of events it is told of; `{ALL}`, all, unless given."),
    "queues": _filter(NAME_SCHEMA, "Only of jobs in these queues; of all unless given."),
    "types": _filter(NAME_SCHEMA, "Only of jobs of these types; of all unless given."),
    "headers": {
        **HEADERS,
        "description": "Sent with every event; sealed when stored, and never shown again. Headers that frame the "
        "message and those that begin with webhook- are the service's own.",
        "additionalProperties": {**HEADERS["additionalProperties"], "not": {"const": MASK}},
        "maxProperties": MAX_HEADERS,
    },
    "signing": nullable(ref("EndpointSigning")),
    "status": {
        "type": ["string", "null"],
        "enum": [*WRITTEN_STATUSES, None],
        "description": "`paused`: events are held for it, and sent once it is `enabled`.",
    },
}
_ATTEMPT: dict[str, Any] = {
    "id": typeid(ids.ATTEMPT),
    "number": described({"type": "integer", "minimum": 1}, "Counts from 1, on over retries."),
    "at": TIME,
    "status": described(nullable(integer(100, 599)), "The receiver's status; null when there was no answer."),
    "duration_ms": COUNT,
    "error": described({"type": ["string", "null"]}, "A coarse word for why there was no answer."),
    "next_attempt_at": nullable(TIME),
    "answer": described(
        {"type": ["string", "null"]}, "The beginning of what an endpoint answered; only with `include=answers`."
    ),
}

WEBHOOK_ENDPOINT_SCHEMAS: dict[str, Any] = {
    "WebhookEndpointRequest": written(_SETTINGS, required=("url",), description="An endpoint to make."),
    "WebhookEndpointChange": {
        **written(_SETTINGS, description="Settings to alter; null stands for the default."),
        "minProperties": 1,
    },
    "WebhookEndpoint": answered(
        {
            "id": typeid(ids.ENDPOINT),
            "url": {"type": "string"},
            "events": {"type": "array", "items": _EVENT},
            "queues": described({"type": ["array", "null"], "items": NAME_SCHEMA}, "Null: of all."),
            "types": described({"type": ["array", "null"], "items": NAME_SCHEMA}, "Null: of all."),
            "headers": {"type": "object", "additionalProperties": {"const": MASK, "type": "string"}},
            "signing": ref("ShownSigning"),
            "status": {"type": "string", "enum": [*WRITTEN_STATUSES, "disabled"]},
            "status_reason": described(
                {"type": ["string", "null"], "enum": ["gone", "failing", None]},
                "Why it is disabled: it answered 410, or every try for five days failed. Enable it again when it can "
                "take events: those that were held for it go out.",
            ),
            "failing_since": described(nullable(TIME), "Since when every try has failed."),
            "created_at": TIME,
            "updated_at": TIME,
        },
        description="A receiver of the tenant's events; of its headers only the names are shown.",
    ),
    "WebhookEndpointPage": page_of("WebhookEndpoint", order="the newest first"),
    "DeliveryAttempt": answered(_ATTEMPT, optional=("answer",), description="One try of a delivery."),
    "Delivery": answered(
        {
            "id": typeid(ids.DELIVERY),
            "event": answered(
                {
                    "id": described(typeid(ids.EVENT), "The `webhook-id` of every try."),
                    "type": {"type": "string", "enum": list(SENT_TYPES)},
                    "at": TIME,
                },
                description="What is told.",
            ),
            "job_id": described(nullable(JOB_ID), "Null for an event that is of no job."),
            "state": described({"type": "string", "enum": list(STATES)}, "`held`: its endpoint is paused or disabled."),
            "attempt": described(COUNT, "How often it was tried, the try under way included."),
            "next_attempt_at": described(nullable(TIME), "When it is due; null unless it is pending."),
            "created_at": TIME,
            "finished_at": nullable(TIME),
            "attempts": {
                "type": "array",
                "items": ref("DeliveryAttempt"),
                "description": f"Its latest tries, at most {MAX_ATTEMPTS}, the newest first.",
            },
        },
        description="One event on its way to one receiver.",
    ),
    "DeliveryPage": page_of("Delivery", order="the newest first; with a filter it may be short though there are more"),
    "ReplayRequest": written(
        {
            "since": described(GIVEN_TIME, "Of events that happened at this time or later."),
            "until": described(
                nullable(GIVEN_TIME), "Of events that happened before this time; before now unless given."
            ),
            "states": _filter(
                _REPLAYED_STATE, "In these states; `failed` unless given. `pending`: it waits for its next try."
            ),
            "events": _filter(_EVENT, f"Of events of these types; `{ALL}`, all but tests, unless given."),
        },
        required=("since",),
        description="Which deliveries to the endpoint are sent again.",
    ),
    "ReplayFilter": answered(
        {
            "since": GIVEN_TIME,
            "until": GIVEN_TIME,
            "states": {"type": "array", "items": _REPLAYED_STATE},
            "events": {"type": "array", "items": _EVENT},
        },
        description="Which deliveries to the endpoint; without `until` those of before it was made.",
        optional=("until",),
    ),
    "EventType": answered(
        {
            "name": {"type": "string", "enum": list(SENT_TYPES)},
            "description": {"type": "string"},
            "schema": described({"type": "object", "additionalProperties": True}, "Of its body: JSON Schema 2020-12."),
        },
        description="A type of events.",
    ),
    "EventTypeList": answered(
        {"data": {"type": "array", "items": ref("EventType")}}, description="Every type of events that is sent."
    ),
}
