"""The form of a new API key: what can be chosen, and how it is read into what the domain checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

SCOPE_WORDS: Mapping[str, Any] = {
    "jobs:read": _("read jobs, without what is in them"),
    "jobs:write": _("submit, change, cancel, retry and erase jobs"),
    "payloads:read": _("read payloads, results and metadata"),
    "queues:write": _("set up, pause and resume queues"),
    "types:write": _("set up job types"),
    "webhooks:write": _("set up webhook endpoints and signing secrets"),
    "keys:write": _("make, rotate and revoke API keys within its own rights"),
    "leases:write": _("hold leases of runs"),
    "tenant:read": _("read the tenant, its usage and its list of keys"),
    "audit:read": _("read the audit log"),
}
# Days, as the form sends them; empty is never.
EXPIRIES = (("30", _("30 days")), ("90", _("90 days")), ("365", _("a year")), ("", _("never")))
OVERLAPS = (
    ("0", _("ends at once")),
    ("3600", _("is good for an hour more")),
    ("86400", _("is good for a day more")),
    ("604800", _("is good for a week more")),
)


def read_form(form: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The body that the API takes for the same key. Empty lists of queues and networks stand for all."""
    wanted: dict[str, Any] = {"name": form.get("name", "").strip(), "scopes": list(form.get("scopes", ()))}
    for name in ("queues", "cidrs"):
        if entries := form.get(name, "").replace(",", " ").split():
            wanted[name] = entries
    if days := form.get("expires", ""):
        is_day = days in {value for value, _words in EXPIRIES}
        wanted["expires_at"] = (now + timedelta(days=int(days))).isoformat() if is_day else days
    return wanted


def read_overlap(form: Mapping[str, Any]) -> dict[str, Any]:
    """A rotation's overlap as the domain reads it, which refuses what is no number of seconds."""
    text = str(form.get("overlap_seconds", "0"))
    return {"overlap_seconds": int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text[:20]}
