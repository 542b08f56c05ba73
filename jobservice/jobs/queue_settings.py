"""What a tenant may say about a queue: the checked form of a PUT's or PATCH's body. No HTTP, no database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import Fields

MAX_CONCURRENCY = 100_000
MAX_RATE = 1_000_000
MAX_PERIOD_SECONDS = 86_400
MAX_RETENTION_DAYS = 3650

# What a queue has that nobody has said anything about.
DEFAULTS: Mapping[str, Any] = {
    "concurrency": None,
    "key_concurrency": 1,
    "rate": None,
    "paused": False,
    "retention_days": None,
}

# Some or all of the settings by name, checked.
Settings = dict[str, Any]


def parse_settings(raw: object) -> Settings:
    """All settings in a parsed JSON body: what it does not name has its default. Raises `Invalid`."""
    return {**DEFAULTS, **parse_change(raw, may_be_empty=True)}


def parse_change(raw: object, *, may_be_empty: bool = False) -> Settings:
    """The settings that a parsed JSON body names; null stands for the default. Raises `Invalid`."""
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset(DEFAULTS))
    values = _read_settings(fields)
    if not (raw or may_be_empty):
        fields.faults.append(Fault("", "required", f"Give at least one of {', '.join(DEFAULTS)}."))
    if fields.faults:
        raise Invalid(fields.faults)
    return {name: DEFAULTS[name] if values[name] is None else values[name] for name in raw}


def _read_settings(fields: Fields) -> Settings:
    return {
        "concurrency": fields.integer("concurrency", low=0, high=MAX_CONCURRENCY),
        "key_concurrency": fields.integer("key_concurrency", low=1, high=MAX_CONCURRENCY),
        "rate": _read_rate(fields),
        "paused": fields.boolean("paused"),
        "retention_days": fields.integer("retention_days", low=1, high=MAX_RETENTION_DAYS),
    }


def _read_rate(fields: Fields) -> dict[str, int | None] | None:
    rate = fields.fields("rate")
    if rate is None:
        return None
    rate.refuse_others(known=frozenset({"limit", "period_seconds", "burst"}))
    rate.require("limit")
    rate.require("period_seconds")
    limit = rate.integer("limit", low=1, high=MAX_RATE)
    period_seconds = rate.integer("period_seconds", low=1, high=MAX_PERIOD_SECONDS)
    burst = rate.integer("burst", low=1, high=MAX_RATE)
    return {"limit": limit, "period_seconds": period_seconds, "burst": limit if burst is None else burst}
