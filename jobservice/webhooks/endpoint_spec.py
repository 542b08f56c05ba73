"""What a tenant may say of a webhook endpoint: the checked form of a POST's or PATCH's body. No HTTP, no database."""

from __future__ import annotations

from typing import Any

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import NAME, Fields, refusal
from jobservice.target_fields import read_headers, read_url
from jobservice.webhooks.event_types import ALL, EVENT_TYPES
from jobservice.webhooks.signing_choice import DEFAULT_SIGNING, read_signing

MAX_FILTER_NAMES = 100
# Disabled is what the service does; a tenant pauses.
STATUSES = ("enabled", "paused")

# What an endpoint has that nobody has said anything about. There is none without an address.
DEFAULTS: dict[str, Any] = {
    "url": None,
    "events": [ALL],
    "queues": None,
    "types": None,
    "headers": {},
    "signing": DEFAULT_SIGNING,
    "status": "enabled",
}

# Some or all of an endpoint's settings by name, checked.
Settings = dict[str, Any]


def parse_endpoint(raw: object) -> Settings:
    """All settings in a parsed JSON body: what it does not name has its default.

    Raises `Invalid` with every fault, or `EgressRefused` when the URL is the only one.
    """
    fields = _read_body(raw)
    fields.require("url")
    return {**DEFAULTS, **_read(fields)}


def parse_endpoint_change(raw: object) -> Settings:
    """The settings that a parsed JSON body names; null stands for the default. Raises as `parse_endpoint`."""
    fields = _read_body(raw)
    if not fields.raw:
        fields.faults.append(Fault("", "required", f"Give at least one of {', '.join(DEFAULTS)}."))
    if "url" in fields.raw:
        fields.require("url")
    return _read(fields)


def read_choices(fields: Fields, name: str, choices: tuple[str, ...]) -> list[str] | None:
    """An array of some of a few words, each once and in order; a fault of one entry points at it."""
    words = _read_list(fields, name)
    if words is None:
        return None
    for at, word in enumerate(words):
        if word not in choices:
            detail = f"It must be one of {', '.join(choices)}."
            fields.faults.append(Fault(f"{fields.pointer(name)}/{at}", "out-of-range", detail))
    return sorted(set(words))


def _read_body(raw: object) -> Fields:
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset(DEFAULTS))
    return fields


def _read(fields: Fields) -> Settings:
    values = {
        "url": read_url(fields, "url"),
        "events": read_choices(fields, "events", (ALL, *EVENT_TYPES)),
        "queues": _read_names(fields, "queues"),
        "types": _read_names(fields, "types"),
        "headers": read_headers(fields, "headers"),
        "signing": read_signing(fields, "signing"),
        "status": fields.choice("status", STATUSES),
    }
    if fields.faults:
        raise refusal(fields.faults)
    return {name: DEFAULTS[name] if values[name] is None else values[name] for name in fields.raw}


def _read_names(fields: Fields, name: str) -> list[str] | None:
    names = _read_list(fields, name)
    if names is None:
        return None
    for at, value in enumerate(names):
        if not NAME.fullmatch(value):
            detail = "This cannot be the name of a queue or a type."
            fields.faults.append(Fault(f"{fields.pointer(name)}/{at}", "bad-format", detail))
    return sorted(set(names))


def _read_list(fields: Fields, name: str) -> list[str] | None:
    """Strings, at least one; a list of nothing would be told of nothing."""
    values = fields.array(name)
    if values is None:
        return None
    if not 1 <= len(values) <= MAX_FILTER_NAMES:
        fields.refuse(name, "out-of-range", f"{name} has 1 to {MAX_FILTER_NAMES} entries; leave it out for all.")
        return None
    if any(not isinstance(value, str) for value in values):
        fields.refuse(name, "wrong-type", f"{name} must be an array of strings.")
        return None
    return values
