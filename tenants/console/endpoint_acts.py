"""Acts on webhook endpoints and their deliveries: each by the verb that the API has for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobservice.errors import Conflict, EgressRefused, Invalid, JobserviceError, QuotaExceeded
from jobservice.ids import BULK_ACTION, DELIVERY, ENDPOINT, parse_id, show_id
from jobservice.jobs.bulk_action_request import MAX_JOBS
from jobservice.jobs.bulk_actions import Lease, make_replay
from jobservice.jobs.bulk_runner import wake_bulk_runner
from jobservice.jobs.bulk_turns import serve_turn
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.preconditions import PreconditionFailed
from jobservice.webhooks.delivery_lists import read_delivery, unknown_delivery
from jobservice.webhooks.delivery_retry import retry_delivery
from jobservice.webhooks.delivery_search import measure_deliveries
from jobservice.webhooks.endpoint_spec import parse_endpoint, parse_endpoint_change
from jobservice.webhooks.endpoints import (
    EndpointView,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    rotate_endpoint_secret,
    send_test_event,
)
from jobservice.webhooks.event_types import EVENT_TYPES
from jobservice.webhooks.replay_filters import ReplayFilters, parse_replay, show_replay
from tenants.api_key_requests import parse_rotation
from tenants.console.access import ConsoleView
from tenants.console.addresses import with_query
from tenants.console.answers import STATUSES
from tenants.console.endpoint_form import SIGNINGS, empty_form, read_form, show_form
from tenants.console.endpoint_rows import endpoint_address, read_endpoint, read_endpoint_id, tell_sent
from tenants.console.key_form import OVERLAPS, read_overlap
from tenants.console.notices import tell
from tenants.console.tenant_limits import read_quotas
from tenants.context import tenant_tx
from tenants.quotas import limit_of
from tenants.roles import ACT, WEBHOOKS

# What is to be recovered began so many hours ago.
SINCE = (("1", gettext_lazy("the last hour")), ("24", gettext_lazy("the last day")), ("72", gettext_lazy("3 days")))
_REFUSALS = (Invalid, EgressRefused, QuotaExceeded)
# A small replay is waited for.
_WAIT_SECONDS = 3.0


class _EndpointForm(ConsoleView):
    """The form of an endpoint, with what was typed and why it was refused."""

    def ask(
        self,
        request: HttpRequest,
        form: dict[str, Any],
        *,
        endpoint: EndpointView | None = None,
        error: JobserviceError | None = None,
    ) -> HttpResponseBase:
        told: dict[str, str] = {}
        if isinstance(error, Invalid):
            for fault in error.faults:
                told.setdefault(fault.pointer.strip("/").split("/")[0], fault.detail)
        elif error is not None:
            # One that the guard against inner addresses refuses has no pointer: it is always the address.
            told["" if isinstance(error, QuotaExceeded) else "url"] = error.detail
        context = {
            "form": form,
            "faults": told,
            "other_fault": told.get("", ""),
            "events": [{"name": name, "words": _(words)} for name, words in EVENT_TYPES.items()],
            "signings": SIGNINGS,
            "id": None if endpoint is None else show_id(ENDPOINT, endpoint.id),
            # Of the form as it was first looked at: what somebody else changed since is not to be written over.
            "revision": None if endpoint is None else form.get("revision") or endpoint.revision,
            "header_names": () if endpoint is None else tuple(endpoint.settings["headers"]),
        }
        status = 200 if error is None else STATUSES.get(type(error), 422)
        return render(request, "console/endpoint_form.html", context, status=status)


class MakeEndpoint(_EndpointForm):
    permission = WEBHOOKS

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.ask(request, empty_form())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id, events = self.person.tenant_id, request.POST.getlist("events")
        try:
            settings = parse_endpoint(read_form(request.POST, events))
            limit = limit_of(read_quotas(tenant_id), "webhook_endpoints")
            made = create_endpoint(tenant_id, settings, max_endpoints=limit)
        except _REFUSALS as error:
            return self.ask(request, {**request.POST.dict(), "events": events}, error=error)
        if made.secret is not None:
            return _show_secret(request, made)
        tell(request, "success", _("The endpoint is made. Send it a test event to see that it answers."))
        return HttpResponseRedirect(endpoint_address(show_id(ENDPOINT, made.id)))


class EditEndpoint(_EndpointForm):
    permission = WEBHOOKS

    def get(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        endpoint = read_endpoint(self.person.tenant_id, endpoint_id)
        return self.ask(request, show_form(endpoint.settings), endpoint=endpoint)

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        tenant_id, events = self.person.tenant_id, request.POST.getlist("events")
        before = read_endpoint(tenant_id, endpoint_id)
        wanted = request.POST.get("revision", "")
        try:
            changes = parse_endpoint_change(read_form(request.POST, events, before=before.settings))
            changed = change_endpoint(tenant_id, before.id, changes, precondition=lambda now: now == wanted)
        except PreconditionFailed:
            tell(request, "warning", _("Somebody else changed the endpoint meanwhile. Look at it, and try again."))
            return HttpResponseRedirect(endpoint_address(endpoint_id))
        except _REFUSALS as error:
            return self.ask(request, {**request.POST.dict(), "events": events}, endpoint=before, error=error)
        if changed.secret is not None:
            return _show_secret(request, changed)
        tell(request, "success", _("The endpoint is changed, from the next try on."))
        return HttpResponseRedirect(endpoint_address(endpoint_id))


class _SwitchEndpoint(ConsoleView):
    permission = WEBHOOKS
    status: str

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        change_endpoint(self.person.tenant_id, read_endpoint_id(endpoint_id), {"status": self.status})
        is_paused = self.status == "paused"
        text = _("It is paused: what happens meanwhile is held for it.") if is_paused else _("It is told again.")
        tell(request, "success", text)
        return HttpResponseRedirect(endpoint_address(endpoint_id))


class PauseEndpoint(_SwitchEndpoint):
    status = "paused"


class EnableEndpoint(_SwitchEndpoint):
    status = "enabled"


class DeleteEndpoint(ConsoleView):
    permission = WEBHOOKS

    def get(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        read_endpoint(self.person.tenant_id, endpoint_id)
        return render(request, "console/endpoint_delete.html", {"id": endpoint_id})

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        delete_endpoint(self.person.tenant_id, read_endpoint_id(endpoint_id))
        tell(request, "success", _("The endpoint is deleted. What was on its way to it has failed."))
        return HttpResponseRedirect(reverse("console-EndpointList"))


class RotateSecret(ConsoleView):
    permission = WEBHOOKS
    step_up = True

    def get(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        endpoint = read_endpoint(self.person.tenant_id, endpoint_id)
        context = {"id": endpoint_id, "own": endpoint.settings["signing"]["own"], "overlaps": OVERLAPS}
        return render(request, "console/endpoint_rotate.html", context)

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        wanted, overlap = read_endpoint_id(endpoint_id), parse_rotation(read_overlap(request.POST))
        changed = rotate_endpoint_secret(self.person.tenant_id, wanted, overlap_seconds=overlap)
        return _show_secret(request, changed)


class SendTestEvent(ConsoleView):
    permission = WEBHOOKS

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        tenant_id = self.person.tenant_id
        with tenant_tx(tenant_id):
            send_test_event(tenant_id, read_endpoint_id(endpoint_id))
            transaction.on_commit(wake_dispatcher)
        tell(request, "success", _("A test event is on its way. Load the page again to see how it is taken."))
        return HttpResponseRedirect(endpoint_address(endpoint_id))


class ResendDelivery(ConsoleView):
    """By whoever acts on jobs, as from the page of the job."""

    permission = ACT

    def post(self, request: HttpRequest, endpoint_id: str, delivery_id: str) -> HttpResponseBase:
        tenant_id, wanted = self.person.tenant_id, parse_id(DELIVERY, delivery_id)
        found = None if wanted is None else read_delivery(tenant_id, wanted)
        if wanted is None or found is None or found.endpoint_id != read_endpoint_id(endpoint_id):
            raise unknown_delivery()
        try:
            with tenant_tx(tenant_id):
                view = retry_delivery(tenant_id, wanted)
                transaction.on_commit(wake_dispatcher)
            tell_sent(request, view)
        except Conflict as refusal:
            tell(request, "warning", refusal.detail)
        seen = {name: request.GET.get(name, "") for name in ("state", "event", "cursor")}
        return HttpResponseRedirect(with_query(endpoint_address(endpoint_id), seen))


class RecoverDeliveries(ConsoleView):
    """Sends what failed since a moment again: counted and asked about first, then as a bulk action."""

    permission = WEBHOOKS

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        tenant_id, endpoint = self.person.tenant_id, read_endpoint(self.person.tenant_id, endpoint_id)
        filters = parse_replay({"since": _since(request.POST, now=datetime.now(UTC))})
        if not request.POST.get("confirmed"):
            return self._ask(request, endpoint, filters)
        made = make_replay(tenant_id, endpoint.id, filters)
        if isinstance(made, Lease):
            serve_turn(made, max_seconds=_WAIT_SECONDS)
        wake_bulk_runner()
        action_id = made.action_id if isinstance(made, Lease) else made
        shown: dict[str, str] = {"action_id": show_id(BULK_ACTION, action_id)}
        return HttpResponseRedirect(reverse("console-BulkActionPage", kwargs=shown))

    def _ask(self, request: HttpRequest, endpoint: EndpointView, filters: ReplayFilters) -> HttpResponseBase:
        tenant_id: UUID = self.person.tenant_id
        with tenant_tx(tenant_id):
            count, _last, _now = measure_deliveries(tenant_id, endpoint.id, filters, limit=MAX_JOBS)
        context = {
            "id": show_id(ENDPOINT, endpoint.id),
            "count": count,
            "is_capped": count >= MAX_JOBS,
            "since": show_replay(filters)["since"],
            "at": filters.since,
        }
        return render(request, "console/endpoint_recover.html", context)


def _since(form: Any, *, now: datetime) -> str:
    """A moment as it was typed, or the one so many hours ago."""
    hours = form.get("hours", "")
    if hours in {value for value, _words in SINCE}:
        return (now - timedelta(hours=int(hours))).isoformat()
    return str(form.get("since", ""))


def _show_secret(request: HttpRequest, view: EndpointView) -> HttpResponseBase:
    """The answer that holds the secret, where there is one to hold: of `v1a` the public key is all that is shown."""
    context = {"id": show_id(ENDPOINT, view.id), "secret": view.secret, "public_key": view.public_key}
    return render(request, "console/endpoint_secret.html", context)
