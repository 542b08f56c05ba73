"""The operations on queues."""

from __future__ import annotations

from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import BODY_ERRORS, IF_MATCH, IF_NONE_MATCH, PAGING
from api.queues import ChangeQueue, ListQueues, PauseQueue, PutQueue, ReadQueue, ResumeQueue
from api.views import ApiView

_QUEUE = ref("Queue")

QUEUE_OPERATIONS: dict[type[ApiView], Operation] = {
    ListQueues: Operation(
        tag="Queues",
        summary="List queues",
        description="Those that the key reaches.",
        parameters=PAGING,
        answers={200: Answer("A page, the newest first.", ref("QueuePage"), examples.page(examples.queues.QUEUE))},
    ),
    ReadQueue: Operation(
        tag="Queues",
        summary="Read a queue",
        description="A queue is there from its first job or PUT on.",
        answers={200: Answer("The queue.", _QUEUE, examples.queues.QUEUE, headers=("ETag",))},
    ),
    PutQueue: Operation(
        tag="Queues",
        summary="Make a queue, or replace its settings",
        description="All settings are replaced: what is not given has its default, and a queue that is to stay paused "
        "says so.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        body=Body("QueueSettings", {"Two at once, ten a minute": examples.queues.QUEUE_SETTINGS, "Every default": {}}),
        answers={
            200: Answer("The queue has these settings.", _QUEUE, examples.queues.QUEUE, headers=("ETag",)),
            201: Answer("The queue is new.", _QUEUE, examples.queues.QUEUE, headers=("ETag", "Location")),
        },
        errors=("conflict", "precondition-failed", "quota-exceeded"),
    ),
    ChangeQueue: Operation(
        tag="Queues",
        summary="Change some settings of a queue",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        body=Body(
            "QueueChange",
            {"Five at once": {"concurrency": 5}, "No limits of its own": {"concurrency": None, "rate": None}},
        ),
        answers={200: Answer("The queue as it is now.", _QUEUE, examples.queues.QUEUE, headers=("ETag",))},
        errors=("precondition-failed",),
    ),
    PauseQueue: Operation(
        tag="Queues",
        summary="Pause a queue",
        description="Asked again, it changes nothing.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        answers={200: Answer("The queue is paused.", _QUEUE, examples.queues.PAUSED_QUEUE, headers=("ETag",))},
        errors=("precondition-failed", *BODY_ERRORS),
    ),
    ResumeQueue: Operation(
        tag="Queues",
        summary="Resume a queue",
        description="Asked again, it changes nothing.",
        parameters=(IF_MATCH, IF_NONE_MATCH),
        answers={200: Answer("The queue is not paused.", _QUEUE, examples.queues.QUEUE, headers=("ETag",))},
        errors=("precondition-failed", *BODY_ERRORS),
    ),
}
