"""The form of a queue's limits: what stands in it, how it is read, and what a change of it would change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobservice.errors import Fault, Invalid
from jobservice.jobs.queue_settings import Settings, parse_change

# Name, label, help. An empty field stands for no limit, or the default.
NAMES = (
    ("concurrency", gettext_lazy("Running at once"), gettext_lazy("Empty: as many as the workers take")),
    ("key_concurrency", gettext_lazy("Running at once of a concurrency key"), gettext_lazy("Empty: 1")),
    ("rate_limit", gettext_lazy("Starts"), gettext_lazy("Empty: no rate")),
    ("rate_period_seconds", gettext_lazy("in so many seconds"), ""),
    ("rate_burst", gettext_lazy("Burst"), gettext_lazy("Empty: as many as the starts")),
    ("retention_days", gettext_lazy("Days that jobs are kept"), gettext_lazy("Empty: as the service keeps them")),
)
_LABELS = {"concurrency": NAMES[0][1], "key_concurrency": NAMES[1][1], "retention_days": NAMES[5][1]}
_DIGITS = 9


def show_form(settings: Settings) -> dict[str, str]:
    """The values of the fields."""
    rate = settings["rate"] or {}
    values = {
        "concurrency": settings["concurrency"],
        "key_concurrency": settings["key_concurrency"],
        "retention_days": settings["retention_days"],
        **{f"rate_{name}": rate.get(name) for name in ("limit", "period_seconds", "burst")},
    }
    return {name: "" if value is None else str(value) for name, value in values.items()}


def read_form(form: Mapping[str, Any]) -> Settings:
    """The settings that the form stands for. Raises `Invalid`, whose pointers with `_` for `/` name the fields."""
    faults: list[Fault] = []
    numbers = {name: _number(form, name, faults) for name, _label, _help in NAMES}
    if faults:
        raise Invalid(faults)
    rate = {name: numbers[f"rate_{name}"] for name in ("limit", "period_seconds", "burst")}
    given = {name: number for name, number in rate.items() if number is not None}
    return parse_change(
        {
            "concurrency": numbers["concurrency"],
            "key_concurrency": numbers["key_concurrency"],
            "rate": given or None,
            "retention_days": numbers["retention_days"],
        }
    )


def show_changes(before: Settings, after: Settings) -> list[dict[str, str]]:
    """What would be another one: its name, what it was and what it is."""
    names = [name for name in after if before[name] != after[name]]
    return [
        {"name": str(_LABELS.get(name, _("Rate"))), "was": _word(name, before[name]), "is": _word(name, after[name])}
        for name in names
    ]


def _number(form: Mapping[str, Any], name: str, faults: list[Fault]) -> int | None:
    text = str(form.get(name, "")).strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        faults.append(Fault(f"/{name}", "bad-format", _("This must be a whole number.")))
        return None
    return int(text)


def _word(name: str, value: Any) -> str:
    if value is None:
        return _("none")
    if name == "rate":
        return _("%(limit)s in %(seconds)s s, burst %(burst)s") % {
            "limit": value["limit"],
            "seconds": value["period_seconds"],
            "burst": value["burst"],
        }
    return str(value)
