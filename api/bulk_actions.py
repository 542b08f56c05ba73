"""Cancelling, retrying or erasing many jobs by a filter, sending an endpoint its deliveries again, and following it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields
from api.idempotency import run_once_in_steps
from api.job_ids import read_bulk_action_id
from api.jobs import show_page
from api.permissions import reach_actions
from api.queries import read_no_parameters, read_paging
from api.views import ApiView
from api.webhook_endpoints import read_endpoint_id
from jobservice.jobs.bulk_action_request import parse_bulk_action
from jobservice.jobs.bulk_actions import (
    RUNNING,
    Lease,
    abort_bulk_action,
    find_bulk_action,
    list_bulk_actions,
    make_bulk_action,
    make_replay,
    unknown_bulk_action,
)
from jobservice.jobs.bulk_runner import wake_bulk_runner
from jobservice.jobs.bulk_turns import serve_turn
from jobservice.webhooks.replay_filters import parse_replay

# A small action that takes longer than this is answered like a large one, and goes on in the background.
ANSWER_SECONDS = 5.0


class _BeginningView(ApiView):
    """An operation that makes a bulk action: 200 with a small one that is over, 202 with one that goes on."""

    def _run(self, request: Request, make: Callable[[], Lease | UUID]) -> HttpResponseBase:
        leases: list[Lease] = []
        return run_once_in_steps(
            request, self.credential, lambda: self._begin(make, leases), lambda begun: self._go_on(begun, leases)
        )

    def _begin(self, make: Callable[[], Lease | UUID], leases: list[Lease]) -> Response:
        made = make()
        if isinstance(made, Lease):
            leases.append(made)
            return self._answer(made.action_id)
        return self._answer(made)

    def _go_on(self, begun: Response, leases: list[Lease]) -> Response:
        """After the commit of what began."""
        for lease in leases:
            serve_turn(lease, max_seconds=ANSWER_SECONDS)
            begun = self._answer(lease.action_id)
        wake_bulk_runner()
        return begun

    def _answer(self, action_id: UUID) -> Response:
        shown = _find(self.credential.tenant_id, action_id)
        status = 202 if shown["status"] == RUNNING else 200
        return Response(shown, status=status, headers={"Location": f"/v1/bulk-actions/{shown['id']}"})


class MakeBulkAction(_BeginningView):
    required_scopes = frozenset({"jobs:write"})

    def post(self, request: Request) -> HttpResponseBase:
        """Act on the jobs that a filter matches."""
        read_no_parameters(request)
        queues, tenant_id = self.credential.queues, self.credential.tenant_id
        return self._run(
            request,
            lambda: make_bulk_action(tenant_id, parse_bulk_action(request.data, queues=queues), queues=queues),
        )


class ReplayDeliveries(_BeginningView):
    required_scopes = frozenset({"webhooks:write"})
    needs_every_queue = True

    def post(self, request: Request, endpoint_id: str) -> HttpResponseBase:
        """Send an endpoint again what it has not taken, or all, of the events of a time."""
        read_no_parameters(request)
        wanted, tenant_id = read_endpoint_id(endpoint_id), self.credential.tenant_id
        return self._run(request, lambda: make_replay(tenant_id, wanted, parse_replay(request.data)))


class ListBulkActions(ApiView):
    required_scopes = frozenset({"jobs:read"})
    other_scopes = frozenset({"webhooks:write"})

    def get(self, request: Request) -> Response:
        """A page of the bulk actions that the key reaches, the newest first."""
        paging, credential = read_paging(request), self.credential
        page = list_bulk_actions(
            credential.tenant_id,
            queues=credential.queues,
            actions=reach_actions(credential, self),
            limit=paging.limit,
            cursor=paging.cursor,
        )
        return Response(show_page(page))


class ReadBulkAction(ApiView):
    required_scopes = frozenset({"jobs:read"})
    other_scopes = frozenset({"webhooks:write"})

    def get(self, request: Request, bulk_action_id: str) -> Response:
        """One bulk action, and how far it has come."""
        read_no_parameters(request)
        return Response(_find(self.credential.tenant_id, read_bulk_action_id(bulk_action_id)))


class AbortBulkAction(ApiView):
    required_scopes = frozenset({"jobs:write"})
    other_scopes = frozenset({"webhooks:write"})

    def post(self, request: Request, bulk_action_id: str) -> Response:
        """Let it act on nothing further: 200 with the action as it is now."""
        read_no_parameters(request)
        read_no_fields(request)
        return Response(abort_bulk_action(self.credential.tenant_id, read_bulk_action_id(bulk_action_id)))


def _find(tenant_id: UUID, action_id: UUID) -> dict[str, Any]:
    shown = find_bulk_action(tenant_id, action_id)
    if shown is None:
        raise unknown_bulk_action()
    return shown
