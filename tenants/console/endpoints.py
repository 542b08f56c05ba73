"""Webhook endpoints: how each takes what it is told, its deliveries with every try, and the catalogue of events."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.ids import DELIVERY, parse_id, show_id
from jobservice.jobs.event_examples import event_of
from jobservice.webhooks.delivery_lists import (
    STATES,
    DeliveryFilters,
    DeliveryPage,
    count_newer_deliveries,
    find_deliveries,
    list_deliveries,
)
from jobservice.webhooks.endpoint_tries import sum_up_tries
from jobservice.webhooks.endpoints import list_endpoints
from jobservice.webhooks.event_types import SENT_TYPES
from tenants.console.access import ConsoleView
from tenants.console.addresses import with_query
from tenants.console.curl import show_curl
from tenants.console.endpoint_acts import SINCE
from tenants.console.endpoint_rows import delivery_row, endpoint_address, endpoint_row, read_endpoint
from tenants.console.live import answer_part
from tenants.console.verify_snippets import SNIPPETS
from tenants.roles import ACT, READ, REVEAL, WEBHOOKS

PAGE_SIZE = 20
DELIVERIES = 25
# More than so many new ones are "99+".
MOST_NEW = 99
SUMMED_UP = timedelta(days=1)


class EndpointList(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id, cursor = self.person.tenant_id, request.GET.get("cursor") or None
        page = list_endpoints(tenant_id, limit=PAGE_SIZE, cursor=cursor)
        tries = sum_up_tries(tenant_id, [view.id for view in page.data], since=datetime.now(UTC) - SUMMED_UP)
        path = reverse("console-EndpointList")
        context = {
            "endpoints": [endpoint_row(view, self.person, tries) for view in page.data],
            "may_change": self.person.may(WEBHOOKS),
            "curl": show_curl(request, "/v1/webhook-endpoints"),
            "pager_first": path if cursor else None,
            "pager_next": f"{path}?{urlencode({'cursor': page.next_cursor})}" if page.next_cursor else None,
        }
        if not page.data:
            context |= _catalogue()
        return render(request, "console/endpoints.html", context)


class EventCatalogue(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return render(request, "console/event_catalogue.html", _catalogue())


class EndpointPage(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        return _show_endpoint(self, request, endpoint_id, request.GET, with_answers=False)


class EndpointDeliveries(ConsoleView):
    permission = READ
    is_part = True

    def get(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        """The deliveries that somebody looks at, as they are now, and how many came after them."""
        tenant_id = self.person.tenant_id
        endpoint = read_endpoint(tenant_id, endpoint_id)
        filters = _read_filters(request.GET)
        wanted = [
            delivery_id
            for text in request.GET.get("deliveries", "").split(",")[:DELIVERIES]
            if (delivery_id := parse_id(DELIVERY, text))
        ]
        rows = [delivery_row(one) for one in find_deliveries(tenant_id, endpoint.id, wanted)]
        new = 0
        if request.GET.get("first"):
            after = wanted[0] if wanted else None
            new = count_newer_deliveries(tenant_id, endpoint.id, filters, after=after, limit=MOST_NEW + 1)
        address = endpoint_address(endpoint_id)
        context = {
            "id": endpoint_id,
            "deliveries": rows,
            "filters": filters,
            "may_act": self.person.may(ACT),
            "pager_next": request.GET.get("older"),
            "rows_href": request.get_full_path(),
            "first_href": with_query(address, _kept(filters)),
            "seen": with_query("", {**_kept(filters), "cursor": request.GET.get("cursor", "")}),
            "new_count": new,
            "new_deliveries": f"{MOST_NEW}+" if new > MOST_NEW else new,
        }
        facts = [[row["facts"] for row in rows], new]
        return answer_part(request, "console/parts/endpoint_deliveries.html", context, facts=facts)


class RevealAnswers(ConsoleView):
    """What the endpoint answered to the deliveries of a page, opened by a POST, and written down who did."""

    permission = REVEAL

    def post(self, request: HttpRequest, endpoint_id: str) -> HttpResponseBase:
        return _show_endpoint(self, request, endpoint_id, request.POST, with_answers=True)


def _show_endpoint(
    view: ConsoleView, request: HttpRequest, endpoint_id: str, wanted: Any, *, with_answers: bool
) -> HttpResponseBase:
    person, tenant_id = view.person, view.person.tenant_id
    endpoint = read_endpoint(tenant_id, endpoint_id)
    filters = _read_filters(wanted)
    cursor = wanted.get("cursor") or None
    page = list_deliveries(
        tenant_id, endpoint.id, filters=filters, limit=DELIVERIES, cursor=cursor, with_answers=with_answers
    )
    tries = sum_up_tries(tenant_id, [endpoint.id], since=datetime.now(UTC) - SUMMED_UP)
    row = endpoint_row(endpoint, person, tries)
    query = _kept(filters)
    following = with_query(row["href"], {**query, "cursor": page.next_cursor}) if page.next_cursor else None
    context = {
        **row,
        "deliveries": [delivery_row(delivery) for delivery in page.data],
        "rows_href": _rows_href(row["id"], query, page, cursor=cursor),
        # What is looked at, so that an act leads back to it.
        "seen": with_query("", {**query, "cursor": cursor or ""}),
        "with_answers": with_answers,
        "filters": filters,
        "cursor": cursor,
        "states": [{"name": name, "href": with_query(row["href"], {**query, "state": name})} for name in STATES],
        "all_states": with_query(row["href"], {**query, "state": ""}),
        "event_types": SENT_TYPES,
        "since": SINCE,
        "may_change": person.may(WEBHOOKS),
        "may_act": person.may(ACT),
        "may_reveal": person.may(REVEAL),
        "curl": show_curl(request, f"/v1/webhook-endpoints/{row['id']}/deliveries", list(query.items())),
        "pager_first": with_query(row["href"], query) if cursor else None,
        "pager_next": following,
    }
    return render(request, "console/endpoint.html", context)


def _read_filters(wanted: Any) -> DeliveryFilters:
    """A word that is none filters nothing: an address that somebody typed."""
    state, event = wanted.get("state", ""), wanted.get("event", "")
    return DeliveryFilters(state if state in STATES else None, event if event in SENT_TYPES else None)


def _kept(filters: DeliveryFilters) -> dict[str, str]:
    """The filters as an address has them."""
    return {name: value for name, value in asdict(filters).items() if value is not None}


def _rows_href(endpoint_id: str, query: dict[str, str], page: DeliveryPage, *, cursor: str | None) -> str:
    """Where those that are shown are asked for again. `older`: there are more, as an empty part has to say."""
    shown = ",".join(show_id(DELIVERY, one.id) for one in page.data)
    more = {"first": "" if cursor else "1", "older": "1" if page.next_cursor else "", "cursor": cursor or ""}
    path = reverse("console-EndpointDeliveries", kwargs={"endpoint_id": endpoint_id})
    return with_query(path, {**query, "deliveries": shown, **more})


def _catalogue() -> dict[str, Any]:
    types = [
        {"name": name, "words": _(words), "body": json.dumps(event_of(name), indent=2)}
        for name, words in SENT_TYPES.items()
    ]
    return {"types": types, "snippets": SNIPPETS}
