"""Operations on queues. Their ETag is of the settings alone: what is in a queue changes without it."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields
from api.etags import read_precondition, show_etag
from api.queries import read_no_parameters, read_paging
from api.views import ApiView
from jobservice.jobs.queue_settings import Settings, parse_change, parse_settings
from jobservice.jobs.queues import QueueView, change_queue, find_queue, list_queues, unknown_queue
from jobservice.jobs.representation import show_time
from tenants.quotas import limit_of


class ListQueues(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request) -> Response:
        """A page of the queues that the key reaches, the newest first."""
        paging = read_paging(request)
        reach = self.credential.queues
        page = list_queues(self.credential.tenant_id, limit=paging.limit, cursor=paging.cursor, names=reach)
        return Response({"data": [represent_queue(view) for view in page.data], "next_cursor": page.next_cursor})


class ReadQueue(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request, queue: str) -> Response:
        """One queue. Never a 304: the numbers in it are of now."""
        read_no_parameters(request)
        view = find_queue(self.credential.tenant_id, queue)
        if view is None:
            raise unknown_queue()
        return _answer(view)


class PutQueue(ApiView):
    required_scopes = frozenset({"queues:write"})

    def put(self, request: Request, queue: str) -> Response:
        """Make the queue (201), or give it these settings and of the others the defaults (200)."""
        read_no_parameters(request)
        view, is_new = change_queue(
            self.credential.tenant_id,
            queue,
            parse_settings(request.data),
            may_make=True,
            precondition=read_precondition(request),
            max_queues=limit_of(self.credential.quotas, "queues"),
        )
        return _answer(view, is_new=is_new)


class _ExistingQueueView(ApiView):
    """An operation that changes a queue which is there."""

    required_scopes = frozenset({"queues:write"})

    def change(self, request: Request, queue: str, changes: Settings) -> Response:
        """The queue as it is after these changes."""
        precondition = read_precondition(request)
        return _answer(change_queue(self.credential.tenant_id, queue, changes, precondition=precondition)[0])


class ChangeQueue(_ExistingQueueView):
    def patch(self, request: Request, queue: str) -> Response:
        """Alter the settings that are named: 200 with the queue as it is now."""
        read_no_parameters(request)
        return self.change(request, queue, parse_change(request.data))


class PauseQueue(_ExistingQueueView):
    def post(self, request: Request, queue: str) -> Response:
        """Start no job of the queue from now on: 200. Again, it changes nothing."""
        read_no_parameters(request)
        read_no_fields(request)
        return self.change(request, queue, {"paused": True})


class ResumeQueue(_ExistingQueueView):
    def post(self, request: Request, queue: str) -> Response:
        """Start jobs of the queue again: 200. Again, it changes nothing."""
        read_no_parameters(request)
        read_no_fields(request)
        return self.change(request, queue, {"paused": False})


def represent_queue(view: QueueView) -> dict[str, Any]:
    """The queue as the API shows it."""
    return {
        "name": view.name,
        **view.settings,
        "created_at": show_time(view.created_at),
        "counts": view.now.jobs,
        "counts_estimated": view.now.is_estimated,
        "running": view.now.running,
        "oldest_due_at": show_time(view.now.oldest_due_at),
        "oldest_due_seconds": view.now.oldest_due_seconds,
    }


def _answer(view: QueueView, *, is_new: bool = False) -> Response:
    headers = {"ETag": show_etag(view.revision)}
    if is_new:
        headers["Location"] = f"/v1/queues/{view.name}"
    return Response(represent_queue(view), status=201 if is_new else 200, headers=headers)
