"""Operations on webhook endpoints. They are told of the jobs of every queue, so a key limited to some has none."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields
from api.deliveries import represent_delivery
from api.etags import has_current, read_precondition, show_etag
from api.idempotency import run_once
from api.queries import read_no_parameters, read_paging
from api.signing_secrets import read_overlap, represent_signing
from api.views import ApiView
from jobservice import ids
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.representation import show_time
from jobservice.target_fields import MASK
from jobservice.webhooks.delivery_lists import read_delivery, unknown_delivery
from jobservice.webhooks.endpoint_spec import Settings, parse_endpoint, parse_endpoint_change
from jobservice.webhooks.endpoints import (
    EndpointView,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    find_endpoint,
    list_endpoints,
    rotate_endpoint_secret,
    send_test_event,
    unknown_endpoint,
)
from tenants.context import tenant_tx
from tenants.quotas import limit_of


class _EndpointView(ApiView):
    """An operation on endpoints. Even reading takes the right to write: an address may hold a credential."""

    required_scopes = frozenset({"webhooks:write"})
    needs_every_queue = True


class ListWebhookEndpoints(_EndpointView):
    def get(self, request: Request) -> Response:
        """A page of the tenant's endpoints, the newest first."""
        paging = read_paging(request)
        page = list_endpoints(self.credential.tenant_id, limit=paging.limit, cursor=paging.cursor)
        return Response({"data": [represent_endpoint(view) for view in page.data], "next_cursor": page.next_cursor})


class MakeWebhookEndpoint(_EndpointView):
    def post(self, request: Request) -> HttpResponseBase:
        """Make an endpoint: 201, and a `v1` secret of its own this once."""
        read_no_parameters(request)
        settings = parse_endpoint(request.data)
        return run_once(request, self.credential, lambda: self._make(settings))

    def _make(self, settings: Settings) -> Response:
        limit = limit_of(self.credential.quotas, "webhook_endpoints")
        return _answer(create_endpoint(self.credential.tenant_id, settings, max_endpoints=limit), status=201)


class ReadWebhookEndpoint(_EndpointView):
    def get(self, request: Request, endpoint_id: str) -> Response:
        """One endpoint; 304 when the client has it already."""
        read_no_parameters(request)
        view = find_endpoint(self.credential.tenant_id, read_endpoint_id(endpoint_id))
        if view is None:
            raise unknown_endpoint()
        if has_current(request, view.revision):
            return Response(status=304, headers={"ETag": show_etag(view.revision)})
        return _answer(view)


class ChangeWebhookEndpoint(_EndpointView):
    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Alter the settings that are named: 200 with the endpoint as it is now."""
        read_no_parameters(request)
        wanted = read_endpoint_id(endpoint_id)
        changes = parse_endpoint_change(request.data)
        precondition = read_precondition(request)
        return _answer(change_endpoint(self.credential.tenant_id, wanted, changes, precondition=precondition))


class DeleteWebhookEndpoint(_EndpointView):
    def delete(self, request: Request, endpoint_id: str) -> Response:
        """Remove the endpoint: 204. What was on its way to it has failed."""
        read_no_parameters(request)
        read_no_fields(request)
        wanted = read_endpoint_id(endpoint_id)
        delete_endpoint(self.credential.tenant_id, wanted, precondition=read_precondition(request))
        return Response(status=204)


class RotateEndpointSecret(_EndpointView):
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Give the endpoint a new secret of its own: 200, and a `v1` secret this once."""
        read_no_parameters(request)
        wanted = read_endpoint_id(endpoint_id)
        overlap_seconds = read_overlap(request)
        return _answer(rotate_endpoint_secret(self.credential.tenant_id, wanted, overlap_seconds=overlap_seconds))


class SendTestEvent(_EndpointView):
    def post(self, request: Request, endpoint_id: str) -> HttpResponseBase:
        """Send the endpoint an event of the type `webhook.test`: 202 with the delivery."""
        read_no_parameters(request)
        read_no_fields(request)
        wanted = read_endpoint_id(endpoint_id)
        return run_once(request, self.credential, lambda: self._send(wanted))

    def _send(self, endpoint_id: UUID) -> Response:
        tenant_id = self.credential.tenant_id
        with tenant_tx(tenant_id):
            view = read_delivery(tenant_id, send_test_event(tenant_id, endpoint_id))
            transaction.on_commit(wake_dispatcher)
        if view is None:
            raise unknown_delivery()
        return Response(represent_delivery(view), status=202)


def read_endpoint_id(text: str) -> UUID:
    """The id in an address. Raises `NotFound`: what is no id is the id of nothing."""
    endpoint_id = ids.parse_id(ids.ENDPOINT, text)
    if endpoint_id is None:
        raise unknown_endpoint()
    return endpoint_id


def represent_endpoint(view: EndpointView) -> dict[str, Any]:
    """The endpoint as the API shows it: of its headers the names only."""
    return {
        "id": ids.show_id(ids.ENDPOINT, view.id),
        **view.settings,
        "headers": dict.fromkeys(view.settings["headers"], MASK),
        "signing": represent_signing(view.settings["signing"], public_key=view.public_key, secret=view.secret),
        "status_reason": view.status_reason,
        "failing_since": show_time(view.failing_since),
        "created_at": show_time(view.created_at),
        "updated_at": show_time(view.updated_at),
    }


def _answer(view: EndpointView, *, status: int = 200) -> Response:
    answer = represent_endpoint(view)
    headers = {"ETag": show_etag(view.revision)}
    if status == 201:
        headers["Location"] = f"/v1/webhook-endpoints/{answer['id']}"
    return Response(answer, status=status, headers=headers)
