"""What stands for a state or a piece of news besides its colour: an icon and a word."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Tone:
    """`name` is a tone of `frontend/css/themes.css`."""

    name: str
    icon: str
    word: str | Promise
    spins: bool = False


JOB_STATES = {
    "scheduled": Tone("scheduled", "calendar-clock", _("Scheduled")),
    "available": Tone("available", "inbox", _("Available")),
    "dispatched": Tone("dispatched", "send", _("Dispatched")),
    "executing": Tone("executing", "loader", _("Executing"), spins=True),
    "retryable": Tone("retryable", "rotate-cw", _("Retryable")),
    "suspended": Tone("suspended", "circle-pause", _("Suspended")),
    "completed": Tone("completed", "circle-check", _("Completed")),
    "discarded": Tone("discarded", "circle-x", _("Discarded")),
    "cancelled": Tone("cancelled", "ban", _("Cancelled")),
}
OUTCOMES = {
    "completed": Tone("success", "circle-check", _("Completed")),
    "failed": Tone("error", "circle-x", _("Failed")),
    "timed-out": Tone("error", "timer", _("Timed out")),
    "crashed": Tone("error", "zap", _("Crashed")),
    "cancelled": Tone("cancelled", "ban", _("Cancelled")),
    "snoozed": Tone("scheduled", "calendar-clock", _("Snoozed")),
    "released": Tone("cancelled", "undo-2", _("Given back")),
}
DELIVERY_STATES = {
    "pending": Tone("available", "hourglass", _("Pending")),
    "held": Tone("suspended", "circle-pause", _("Held")),
    "delivering": Tone("executing", "loader", _("Delivering"), spins=True),
    "delivered": Tone("success", "circle-check", _("Delivered")),
    "failed": Tone("error", "circle-x", _("Failed")),
}
ERROR_STATES = {
    "open": Tone("error", "circle-dot", _("Open")),
    "resolved": Tone("success", "circle-check", _("Resolved")),
    "ignored": Tone("cancelled", "ban", _("Ignored")),
}
WORKER_STATES = {
    "live": Tone("success", "circle-check", _("Live")),
    "draining": Tone("warning", "hourglass", _("Draining")),
    "silent": Tone("error", "circle-x", _("Silent")),
}
NEWS = {
    "success": Tone("success", "circle-check", _("Done")),
    "error": Tone("error", "triangle-alert", _("Error")),
    "warning": Tone("warning", "triangle-alert", _("Warning")),
    "info": Tone("info", "info", _("Note")),
}


def tone_of(kind: dict[str, Tone], name: str) -> Tone:
    """The tone of a name; a quiet one, with the name as its word, of what is not in the table."""
    return kind.get(name) or Tone("cancelled", "circle-dot", name.replace("_", " ").replace("-", " ").capitalize())
