"""The operations on bulk actions."""

from __future__ import annotations

from typing import Any

from api.bulk_actions import AbortBulkAction, ListBulkActions, MakeBulkAction, ReadBulkAction
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY, PAGING
from api.views import ApiView
from jobservice.jobs.bulk_actions import MAX_RUNNING, SMALL_JOBS

_ACTION = ref("BulkAction")
_OF_THE_ACTION = {"bulk_action_id": "$response.body#/id"}


def begun_answers(ended: dict[str, Any], running: dict[str, Any]) -> dict[int, Answer]:
    """What an operation answers that makes a bulk action; with an example of each."""
    headers = ("Location", "Idempotent-Replayed")
    links = {
        name: {"operationId": name, "parameters": _OF_THE_ACTION} for name in ("readBulkAction", "abortBulkAction")
    }
    return {
        200: Answer("It is over.", _ACTION, ended, headers=headers),
        202: Answer("It goes on in the background.", _ACTION, running, headers=headers, links=links),
    }


BULK_ACTION_OPERATIONS: dict[type[ApiView], Operation] = {
    MakeBulkAction: Operation(
        tag="Jobs",
        summary="Cancel, retry or erase the jobs that a filter matches",
        description="Acts on the jobs that there are now, the oldest first, each as its own call would. A job that the "
        "action does not apply to, or that the filter matches no more when its turn comes, is skipped. Up to "
        f"{SMALL_JOBS} jobs are done before the answer; more go on in the background, and can be followed and aborted. "
        f"At most {MAX_RUNNING} bulk actions of a tenant run at once: one more is a 409.",
        parameters=(IDEMPOTENCY_KEY,),
        body=Body(
            "BulkActionRequest",
            {
                "Cancel what waits for a customer": examples.bulk_actions.BULK_ACTION_REQUEST,
                "Retry what failed": {"action": "retry", "filter": {"state": "discarded", "type": "invoice.render"}},
            },
        ),
        answers=begun_answers(examples.bulk_actions.BULK_ACTION, examples.bulk_actions.RUNNING_BULK_ACTION),
        errors=("conflict", *IDEMPOTENCY_ERRORS),
    ),
    ListBulkActions: Operation(
        tag="Jobs",
        summary="List bulk actions",
        description="Those of the last 30 days that reach no further than the key: on jobs with `jobs:read`, replays "
        "of deliveries with `webhooks:write`.",
        parameters=PAGING,
        answers={
            200: Answer(
                "A page, the newest first.", ref("BulkActionPage"), examples.page(examples.bulk_actions.BULK_ACTION)
            ),
        },
    ),
    ReadBulkAction: Operation(
        tag="Jobs",
        summary="Read a bulk action",
        description="One on jobs with `jobs:read`, a replay of deliveries with `webhooks:write`.",
        answers={200: Answer("How far it has come.", _ACTION, examples.bulk_actions.RUNNING_BULK_ACTION)},
    ),
    AbortBulkAction: Operation(
        tag="Jobs",
        summary="Abort a bulk action",
        description="Nothing further is acted on; what is done stays done. Asked again, it changes nothing. One on "
        "jobs with `jobs:write`, a replay of deliveries with `webhooks:write`.",
        body=Body("NoFields", {"Nothing to say": {}}, is_required=False),
        answers={200: Answer("The bulk action as it is now.", _ACTION, examples.bulk_actions.ABORTED_BULK_ACTION)},
        errors=("conflict",),
    ),
}
