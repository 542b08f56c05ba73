"""The form of a webhook endpoint: what stands in it, and how it is read into what the domain checks. Pure.

Headers are write-only: the form has their names, and what is typed replaces them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jobservice.webhooks.endpoint_spec import DEFAULTS, Settings
from jobservice.webhooks.event_types import ALL, EVENT_TYPES

# Scheme and whose secret, as one choice.
SIGNINGS = ("v1 default", "v1 own", "v1a default", "v1a own")


def show_form(settings: Settings) -> dict[str, Any]:
    """The values of the fields."""
    signing = settings["signing"]
    return {
        "url": settings["url"] or "",
        "events": list(EVENT_TYPES) if ALL in settings["events"] else settings["events"],
        "queues": " ".join(settings["queues"] or ()),
        "types": " ".join(settings["types"] or ()),
        "headers": "",
        "signing": f"{signing['scheme']} {'own' if signing['own'] else 'default'}",
    }


def empty_form() -> dict[str, Any]:
    return show_form(DEFAULTS)


def read_form(form: Mapping[str, Any], events: list[str], *, before: Settings | None = None) -> dict[str, Any]:
    """The body that the API takes for the same endpoint, or for the same change of one that was as `before`."""
    scheme, _space, whose = form.get("signing", "").partition(" ")
    signing = {"scheme": scheme, "own": whose == "own"}
    body: dict[str, Any] = {
        "url": form.get("url", "").strip(),
        "events": [ALL] if set(events) == set(EVENT_TYPES) else events,
        "queues": _names(form, "queues"),
        "types": _names(form, "types"),
    }
    # Written again, they would end an endpoint's rest though nothing of them was changed.
    if before is None or signing != before["signing"]:
        body["signing"] = signing
    if before is not None and body["url"] == before["url"]:
        del body["url"]
    if (lines := form.get("headers", "").strip()) or form.get("no_headers"):
        body["headers"] = _headers(lines)
    return body


def shown_host(url: str) -> str:
    """Of an address what is no secret: a path or a query may hold a credential."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/…"


def _names(form: Mapping[str, Any], name: str) -> list[str] | None:
    return form.get(name, "").replace(",", " ").split() or None


def _headers(lines: str) -> dict[str, str]:
    """One header a line; a line without a colon is a name that the domain refuses."""
    pairs = (line.partition(":") for line in lines.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _colon, value in pairs}
