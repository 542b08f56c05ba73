"""Which deliveries of an endpoint are replayed: the checked form of a POST's body. No database.

They are kept as they were understood, in the form in which they are shown and can be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import Fields
from jobservice.webhooks.endpoint_spec import read_choices
from jobservice.webhooks.event_types import ALL, EVENT_TYPES

# One that goes out right now needs no replay; what is held goes out when its endpoint is enabled, and not before.
REPLAYED_STATES = ("pending", "delivered", "failed")
DEFAULT_STATES = ("failed",)


@dataclass(frozen=True, slots=True)
class ReplayFilters:
    """Deliveries in one of these states, of events of these types that happened from `since` on and before `until`.

    `until` None: whenever since. `events` may have `*`, for every type that an endpoint can ask for.
    """

    since: datetime
    until: datetime | None = None
    states: tuple[str, ...] = DEFAULT_STATES
    events: tuple[str, ...] = (ALL,)

    @property
    def types(self) -> list[str]:
        """The types of events by their names. A test is none of them: nobody asks for it in advance."""
        return list(EVENT_TYPES) if ALL in self.events else list(self.events)


def parse_replay(raw: object) -> ReplayFilters:
    """The filters in a parsed JSON body. Raises `Invalid` with every fault."""
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset({"since", "until", "states", "events"}))
    fields.require("since")
    since, until = fields.instant("since"), fields.instant("until")
    if since is not None:
        _check_order(fields, since, until)
    states = read_choices(fields, "states", REPLAYED_STATES)
    events = read_choices(fields, "events", (ALL, *EVENT_TYPES))
    if since is None or fields.faults:
        raise Invalid(fields.faults)
    return ReplayFilters(since, until, tuple(states or DEFAULT_STATES), tuple(events or (ALL,)))


def read_replay(raw: Mapping[str, Any]) -> ReplayFilters:
    """The filters that `show_replay` has written."""
    until = raw.get("until")
    return ReplayFilters(
        since=datetime.fromisoformat(raw["since"]),
        until=None if until is None else datetime.fromisoformat(until),
        states=tuple(raw["states"]),
        events=tuple(raw["events"]),
    )


def show_replay(filters: ReplayFilters) -> dict[str, Any]:
    """The filters as they are kept and shown, to the microsecond: a bound that is cut would let others through."""
    shown = {"since": filters.since, "until": filters.until}
    times = {name: at.isoformat().replace("+00:00", "Z") for name, at in shown.items() if at is not None}
    return {**times, "states": list(filters.states), "events": list(filters.events)}


def _check_order(fields: Fields, since: datetime, until: datetime | None) -> None:
    """A window that can have nothing in it is a mistake."""
    if until is not None and until <= since:
        fields.refuse("until", "out-of-range", "until must be after since.")
    elif since > datetime.now(UTC):
        fields.refuse("since", "out-of-range", "since must be in the past.")
