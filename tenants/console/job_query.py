"""What somebody writes into the search bar of jobs, as filters: `state:retryable queue:mail since:2h`. Pure.

A qualifier may be given once, `tag:` several times; a value with a space in it stands in quotes. A word without a
qualifier is an id or a job type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from jobservice.field_checks import NAME, Fields
from jobservice.ids import ERROR_GROUP, JOB, parse_id
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.options import MAX_PRIORITY
from jobservice.jobs.states import STATES
from jobservice.jobs.submission import MAX_TAGS
from jobservice.jobs.tag_filters import parse_tag

QUALIFIERS = ("state", "type", "queue", "tag", "id", "since", "until", "priority", "error")
MAX_CHARACTERS = 1000
_WORD = re.compile(r'(?:([a-z]+):)?(?:"([^"]*)"|(\S+))')
_AGO = re.compile(r"([0-9]{1,5})\s?(s|m|h|d|w)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(slots=True)
class JobQuery:
    """What was understood. `job_id`: one job is meant. `faults` are sentences; what has one is in no filter."""

    text: str = ""
    filters: JobFilters = field(default_factory=JobFilters)
    job_id: UUID | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def is_filtered(self) -> bool:
        return self.filters != JobFilters()

    @property
    def at_fixed_times(self) -> str:
        """The text of the same search with moments for what counts from now: the pages of a list are of one search."""
        moments = {"since": self.filters.created_after, "until": self.filters.created_before}
        words = ((name, value, moments.get(name)) for name, value in _split(self.text))
        return join_words([(name, moment.isoformat() if moment else value) for name, value, moment in words])

    def with_state(self, state: str | None) -> str:
        """The text of the same search among the jobs of a state, or of all states."""
        words = [word for word in _split(self.text) if word[0] != "state"]
        return join_words([("state", state), *words] if state else words)


def parse_query(text: str, *, now: datetime) -> JobQuery:
    """The filters in the text. Never raises: what is not understood is a fault."""
    query = JobQuery(text=text[:MAX_CHARACTERS].strip())
    values: dict[str, Any] = {}
    tags: list[tuple[str, str]] = []
    for qualifier, value in _split(query.text):
        name = qualifier or ("id" if value.startswith(f"{JOB}_") else "type")
        if name == "tag" and (tag := parse_tag(value)) and len(tags) < MAX_TAGS:
            tags.append(tag)
        elif name in values:
            query.faults.append(_("%(name)s: may be given once.") % {"name": name})
        elif (read := _read(name, value, now=now)) is None:
            query.faults.append(_explain(name, value))
        else:
            values[name] = read
    query.job_id = values.pop("id", None)
    since, until = values.pop("since", None), values.pop("until", None)
    values["error_group"] = values.pop("error", None)
    query.filters = JobFilters(**values, tags=tuple(tags), created_after=since, created_before=until)
    return query


def join_words(words: list[tuple[str, str]]) -> str:
    """The text of these qualifiers and values."""
    shown = ((name, f'"{value}"' if re.search(r"\s", value) else value) for name, value in words)
    return " ".join(f"{name}:{value}" if name else value for name, value in shown)


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Qualifier (may be empty) and value of each word; what has a colon but no known qualifier keeps it."""
    for found in _WORD.finditer(text):
        name, value = found[1] or "", found[2] if found[2] is not None else found[3]
        yield (name, value)


def _read(name: str, value: str, *, now: datetime) -> Any:
    """None for a value that no job can have."""
    match name:
        case "state":
            return value if value in STATES else None
        case "type" | "queue":
            return value if NAME.fullmatch(value) else None
        case "id":
            return parse_id(JOB, value)
        case "error":
            return parse_id(ERROR_GROUP, value)
        case "priority":
            return int(value) if value in map(str, range(MAX_PRIORITY + 1)) else None
        case "since" | "until":
            return _moment(value, now=now)
    return None


def _moment(value: str, *, now: datetime) -> datetime | None:
    """`2h` ago, a day of UTC, or a moment (RFC 3339)."""
    if ago := _AGO.fullmatch(value):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if _DAY.fullmatch(value):
        try:
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        except ValueError:
            return None
    return Fields({"at": value}, faults=[]).instant("at")


def _explain(name: str, value: str) -> str:
    shown = value[:80]
    match name:
        case "state":
            return _("%(value)s is no state; there are %(states)s.") % {"value": shown, "states": ", ".join(STATES)}
        case "type" | "queue":
            return _("%(value)s is no name of a %(name)s.") % {"value": shown, "name": name}
        case "id":
            return _("%(value)s is no id of a job.") % {"value": shown}
        case "error":
            return _("%(value)s is no id of a group of errors.") % {"value": shown}
        case "tag":
            return _("tag:%(value)s is no tag; write tag:name:value.") % {"value": shown}
        case "priority":
            return _("A priority is a number from 0 to %(most)s.") % {"most": MAX_PRIORITY}
        case "since" | "until":
            return _("%(name)s: wants 30m, 2h, 7d, a day as 2026-01-31, or a moment with its zone.") % {"name": name}
    known = ", ".join(f"{qualifier}:" for qualifier in QUALIFIERS)
    return _("There is no %(name)s: to search by; there are %(known)s.") % {"name": name[:40], "known": known}
