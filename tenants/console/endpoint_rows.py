"""What the pages of webhooks show of endpoints and deliveries, and how an id of theirs in an address is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.ids import DELIVERY, ENDPOINT, JOB, parse_id, show_id
from jobservice.webhooks.delivery_lists import DeliveryView
from jobservice.webhooks.endpoint_tries import TriesOfEndpoint
from jobservice.webhooks.endpoints import EndpointView, find_endpoint, unknown_endpoint
from jobservice.webhooks.event_types import ALL
from tenants.console.endpoint_form import shown_host
from tenants.console.notices import tell
from tenants.console.person import Person
from tenants.roles import WEBHOOKS

_AGAIN = ("delivered", "failed", "pending")


def endpoint_row(view: EndpointView, person: Person, tries: Mapping[UUID, TriesOfEndpoint]) -> dict[str, Any]:
    """The whole address only for whoever may set it: it may hold a credential."""
    endpoint_id, url = show_id(ENDPOINT, view.id), view.settings["url"]
    found = tries.get(view.id)
    return {
        "id": endpoint_id,
        "href": endpoint_address(endpoint_id),
        "view": view,
        "settings": view.settings,
        "url": url if person.may(WEBHOOKS) else shown_host(url),
        "events": [_("all")] if ALL in view.settings["events"] else view.settings["events"],
        "status": view.settings["status"],
        "reason": view.status_reason,
        "tries": found,
        "p95_ms": None if found is None else found.p95_ms,
        "last_failure_at": None if found is None else found.last_failure_at,
        "percent": None if found is None else round(found.share * 100, 1),
    }


def delivery_row(view: DeliveryView) -> dict[str, Any]:
    job_id = None if view.job_id is None else show_id(JOB, view.job_id)
    return {
        "id": show_id(DELIVERY, view.id),
        "view": view,
        "job_id": job_id,
        "job_href": None if job_id is None else reverse("console-JobPage", kwargs={"job_id": job_id}),
        "may_resend": view.state in _AGAIN,
        # What changes of it.
        "facts": [str(view.id), view.state, view.attempt, len(view.attempts), str(view.next_attempt_at)],
    }


def tell_sent(request: HttpRequest, view: DeliveryView) -> None:
    """What has become of a delivery that somebody wants to be sent again."""
    if view.state == "held":
        tell(request, "warning", _("It is held while its endpoint takes none, and goes out when that is enabled."))
    else:
        tell(request, "success", _("It is sent again."))


def endpoint_address(endpoint_id: str) -> str:
    return reverse("console-EndpointPage", kwargs={"endpoint_id": endpoint_id})


def read_endpoint_id(text: str) -> UUID:
    """Raises `NotFound`: what is no id is the id of nothing."""
    endpoint_id = parse_id(ENDPOINT, text)
    if endpoint_id is None:
        raise unknown_endpoint()
    return endpoint_id


def read_endpoint(tenant_id: UUID, text: str) -> EndpointView:
    """The endpoint of an address. Raises `NotFound`."""
    view = find_endpoint(tenant_id, read_endpoint_id(text))
    if view is None:
        raise unknown_endpoint()
    return view
