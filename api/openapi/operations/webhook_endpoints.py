"""The operations on webhook endpoints and on deliveries."""

from __future__ import annotations

from api.bulk_actions import ReplayDeliveries
from api.deliveries import ListDeliveries, RetryDelivery
from api.event_types import ListEventTypes
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.operations.bulk_actions import begun_answers
from api.openapi.parameters import (
    BODY_ERRORS,
    DELIVERY_FILTERS,
    IDEMPOTENCY_ERRORS,
    IDEMPOTENCY_KEY,
    IF_CHANGED,
    IF_MATCH,
    IF_NONE_MATCH,
    INCLUDE_ANSWERS,
    PAGING,
)
from api.views import ApiView
from api.webhook_endpoints import (
    ChangeWebhookEndpoint,
    DeleteWebhookEndpoint,
    ListWebhookEndpoints,
    MakeWebhookEndpoint,
    ReadWebhookEndpoint,
    RotateEndpointSecret,
    SendTestEvent,
)
from jobservice.jobs.bulk_action_request import MAX_JOBS
from jobservice.jobs.bulk_actions import MAX_RUNNING, SMALL_JOBS
from jobservice.webhooks.delivery_lists import WINDOW

_ENDPOINT = ref("WebhookEndpoint")
_LINKS = {
    name: {"operationId": name, "parameters": {"endpoint_id": "$response.body#/id"}}
    for name in (
        "readWebhookEndpoint",
        "changeWebhookEndpoint",
        "deleteWebhookEndpoint",
        "rotateEndpointSecret",
        "sendTestEvent",
        "listDeliveries",
        "replayDeliveries",
    )
}

WEBHOOK_ENDPOINT_OPERATIONS: dict[type[ApiView], Operation] = {
    ListWebhookEndpoints: Operation(
        tag="Webhooks",
        summary="List webhook endpoints",
        parameters=PAGING,
        answers={
            200: Answer(
                "A page, the newest first.", ref("WebhookEndpointPage"), examples.page(examples.webhooks.ENDPOINT)
            )
        },
    ),
    MakeWebhookEndpoint: Operation(
        tag="Webhooks",
        summary="Make a webhook endpoint",
        description="It is told of every event of its types, queues and job types from now on. A `v1` secret of its "
        "own is answered this once.",
        parameters=(IDEMPOTENCY_KEY,),
        body=Body(
            "WebhookEndpointRequest",
            {
                "The ends of one queue": examples.webhooks.ENDPOINT_REQUEST,
                "Everything, to be verified by a public key": {
                    "url": "https://shop.example/events",
                    "signing": {"scheme": "v1a", "own": True},
                },
            },
        ),
        answers={
            201: Answer(
                "The endpoint.", _ENDPOINT, examples.webhooks.NEW_ENDPOINT, headers=("ETag", "Location"), links=_LINKS
            )
        },
        errors=("egress-refused", "quota-exceeded", *IDEMPOTENCY_ERRORS),
    ),
    ReadWebhookEndpoint: Operation(
        tag="Webhooks",
        summary="Read a webhook endpoint",
        parameters=(IF_CHANGED,),
        answers={
            200: Answer("The endpoint.", _ENDPOINT, examples.webhooks.ENDPOINT, headers=("ETag",)),
            304: Answer("You have it already.", headers=("ETag",)),
        },
    ),
    ChangeWebhookEndpoint: Operation(
        tag="Webhooks",
        summary="Change some settings of a webhook endpoint",
        description="Header values are shown as `***`; `headers` replaces all of them. Enabled again, it is told of "
        "all that was held for it.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        body=Body(
            "WebhookEndpointChange",
            {"Hold its events for a while": {"status": "paused"}, "Of all queues": {"queues": None}},
        ),
        answers={200: Answer("The endpoint as it is now.", _ENDPOINT, examples.webhooks.ENDPOINT, headers=("ETag",))},
        errors=("egress-refused", "precondition-failed"),
    ),
    DeleteWebhookEndpoint: Operation(
        tag="Webhooks",
        summary="Delete a webhook endpoint",
        description="What is on its way to it, or held for it, has failed.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        answers={204: Answer("The endpoint is gone.")},
        errors=("precondition-failed", *BODY_ERRORS),
    ),
    RotateEndpointSecret: Operation(
        tag="Webhooks",
        summary="Replace the signing secret of a webhook endpoint",
        description="The secret until now signs beside the new one for the overlap. An endpoint that signed with the "
        "tenant's default secret has its own from now on, at once.",
        body=Body("SecretRotationRequest", {"Both sign for a day": {"overlap_seconds": 86_400}}, is_required=False),
        answers={
            200: Answer(
                "The endpoint, with its new secret or public key.",
                _ENDPOINT,
                examples.webhooks.NEW_ENDPOINT,
                headers=("ETag",),
            )
        },
    ),
    SendTestEvent: Operation(
        tag="Webhooks",
        summary="Send a test event to a webhook endpoint",
        description="One of the type `webhook.test`, whatever the endpoint is told of; of a paused one it is held.",
        parameters=(IDEMPOTENCY_KEY,),
        body=Body("NoFields", {"Nothing to say": {}}, is_required=False),
        answers={
            202: Answer("The delivery; how it went is in the list.", ref("Delivery"), examples.webhooks.TEST_DELIVERY)
        },
        errors=IDEMPOTENCY_ERRORS,
    ),
    ListDeliveries: Operation(
        tag="Webhooks",
        summary="List the deliveries to a webhook endpoint",
        description=f"With a filter, a page is that of the next {WINDOW:,} deliveries: it may be short, or empty, "
        "though there are more; go on while there is a `next_cursor`.",
        parameters=(*DELIVERY_FILTERS, INCLUDE_ANSWERS, *PAGING),
        answers={
            200: Answer(
                "A page, the newest first.", ref("DeliveryPage"), examples.page(examples.webhooks.ANSWERED_DELIVERY)
            )
        },
    ),
    ReplayDeliveries: Operation(
        tag="Webhooks",
        summary="Send a webhook endpoint its events of a time again",
        description="Acts on the deliveries to the endpoint that there are now, the oldest first and at most "
        f"{MAX_JOBS:,} of them, each as its own retry would: with the same `webhook-id`, its tries counted on. One "
        "that is in none of the states any more when its turn comes, on its way right now for instance, is skipped. "
        "Of a paused or disabled endpoint they are held until it is enabled. What the endpoint was not told of when "
        f"it happened is no delivery, and not sent. Up to {SMALL_JOBS} are done before the answer; more go on in the "
        f"background, and can be followed and aborted. At most {MAX_RUNNING} bulk actions of a tenant run at once: "
        "one more is a 409.",
        parameters=(IDEMPOTENCY_KEY,),
        body=Body(
            "ReplayRequest",
            {
                "What failed since an outage began": examples.bulk_actions.REPLAY_REQUEST,
                "All ends of an hour, though they were taken": {
                    "since": "2027-01-31T12:00:00Z",
                    "until": "2027-01-31T13:00:00Z",
                    "states": ["delivered", "failed"],
                    "events": ["job.completed", "job.discarded"],
                },
            },
        ),
        answers=begun_answers(examples.bulk_actions.REPLAY, examples.bulk_actions.RUNNING_REPLAY),
        errors=("conflict", *IDEMPOTENCY_ERRORS),
    ),
    RetryDelivery: Operation(
        tag="Webhooks",
        summary="Send a delivery now, or again",
        description="One that waits for its next try is due now. One that is over, delivered too, is sent again with "
        "the same `webhook-id`, and tried as often as a new one; its tries are counted on. It may be one to a job's "
        "`callback_url`. Refused while it is on its way or held, and when its endpoint is deleted.",
        body=Body("NoFields", {"Nothing to say": {}}, is_required=False),
        answers={200: Answer("The delivery as it is now.", ref("Delivery"), examples.webhooks.DELIVERY)},
        errors=("conflict",),
    ),
    ListEventTypes: Operation(
        tag="Webhooks",
        summary="List the types of events",
        description="Each with the JSON Schema of its body, which stands alone. `webhook.test` comes when it is "
        "asked for.",
        answers={200: Answer("All of them.", ref("EventTypeList"), examples.webhooks.EVENT_TYPES)},
    ),
}
