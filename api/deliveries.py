"""Operations on deliveries: what an endpoint was told and how it took it, and another try at the tenant's wish."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields
from api.permissions import check_scopes
from api.queries import read_delivery_query, read_no_parameters
from api.views import ApiView
from jobservice import ids
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.representation import show_time
from jobservice.webhooks.delivery_lists import AttemptView, DeliveryView, list_deliveries, unknown_delivery
from jobservice.webhooks.delivery_retry import retry_delivery
from jobservice.webhooks.endpoints import unknown_endpoint
from tenants.context import tenant_tx


class ListDeliveries(ApiView):
    required_scopes = frozenset({"webhooks:write"})
    needs_every_queue = True

    def get(self, request: Request, endpoint_id: str) -> Response:
        """A page of the deliveries to an endpoint, the newest first; with what it answered, if that is asked for."""
        filters, parts, paging = read_delivery_query(request)
        if parts:
            check_scopes(self.credential, {"payloads:read"})
        wanted = ids.parse_id(ids.ENDPOINT, endpoint_id)
        if wanted is None:
            raise unknown_endpoint()
        page = list_deliveries(
            self.credential.tenant_id,
            wanted,
            filters=filters,
            limit=paging.limit,
            cursor=paging.cursor,
            with_answers=bool(parts),
        )
        data = [represent_delivery(view, with_answers=bool(parts)) for view in page.data]
        return Response({"data": data, "next_cursor": page.next_cursor})


class RetryDelivery(ApiView):
    required_scopes = frozenset({"webhooks:write"})
    needs_every_queue = True

    def post(self, request: Request, delivery_id: str) -> Response:
        """Send a delivery now that waits, or again one that is over: 200 with the delivery."""
        read_no_parameters(request)
        read_no_fields(request)
        tenant_id = self.credential.tenant_id
        with tenant_tx(tenant_id):
            view = retry_delivery(tenant_id, _read_delivery_id(delivery_id))
            transaction.on_commit(wake_dispatcher)
        return Response(represent_delivery(view))


def represent_delivery(view: DeliveryView, *, with_answers: bool = False) -> dict[str, Any]:
    """The delivery as the API shows it."""
    return {
        "id": ids.show_id(ids.DELIVERY, view.id),
        "event": {
            "id": ids.show_id(ids.EVENT, view.event_id),
            "type": view.event_type,
            "at": show_time(view.event_at),
        },
        "job_id": None if view.job_id is None else ids.show_id(ids.JOB, view.job_id),
        "state": view.state,
        "attempt": view.attempt,
        "next_attempt_at": show_time(view.next_attempt_at),
        "created_at": show_time(view.created_at),
        "finished_at": show_time(view.finished_at),
        "attempts": [_represent_attempt(attempt, with_answers=with_answers) for attempt in view.attempts],
    }


def _represent_attempt(view: AttemptView, *, with_answers: bool) -> dict[str, Any]:
    return {
        "id": ids.show_id(ids.ATTEMPT, view.id),
        "number": view.number,
        "at": show_time(view.at),
        "status": view.status,
        "duration_ms": view.duration_ms,
        "error": view.error_class,
        "next_attempt_at": show_time(view.next_attempt_at),
        **({"answer": view.answer} if with_answers else {}),
    }


def _read_delivery_id(text: str) -> UUID:
    """The id in an address. Raises `NotFound`: what is no id is the id of nothing."""
    delivery_id = ids.parse_id(ids.DELIVERY, text)
    if delivery_id is None:
        raise unknown_delivery()
    return delivery_id
