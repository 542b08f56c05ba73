"""What a bulk action is asked to do: the action, the filter and how many jobs at most. No database.

The filter is kept as it was understood, in the form in which it is shown and can be sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jobservice.errors import Fault, Forbidden, Invalid
from jobservice.field_checks import Fields
from jobservice.ids import ERROR_GROUP, parse_id, show_id
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.options import MAX_PRIORITY
from jobservice.jobs.states import STATES
from jobservice.jobs.submission import MAX_TAGS
from jobservice.jobs.tag_filters import TAG_RULE, parse_tag

ACTIONS = ("cancel", "retry", "delete")
DEFAULT_MAX = 1_000
MAX_JOBS = 100_000
MAX_NAME_CHARACTERS = 100
FILTER_FIELDS = ("state", "queue", "type", "tag", "priority", "created_after", "created_before", "error_group")


@dataclass(frozen=True, slots=True)
class BulkActionRequest:
    """A checked request; `filters` has no queues of the asking key yet."""

    action: str
    filters: JobFilters
    max_jobs: int


def parse_bulk_action(raw: object, *, queues: Collection[str] | None = None) -> BulkActionRequest:
    """The request in a parsed JSON body. Raises `Invalid`; `Forbidden` when it names a queue that is not of `queues`,
    those that the asking key is limited to."""
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset({"action", "filter", "max"}))
    fields.require("action")
    fields.require("filter")
    action = fields.choice("action", ACTIONS)
    max_jobs = fields.integer("max", low=1, high=MAX_JOBS)
    given = fields.fields("filter")
    filters = JobFilters() if given is None else _read_filters(given)
    if given is not None and filters == JobFilters() and not fields.faults:
        fields.refuse("filter", "required", f"filter must have one of {', '.join(FILTER_FIELDS)}.")
    if fields.faults:
        raise Invalid(fields.faults)
    if queues is not None and filters.queue is not None and filters.queue not in queues:
        raise Forbidden(f"The API key may not act on jobs of the queue {filters.queue}.")
    return BulkActionRequest(str(action), filters, DEFAULT_MAX if max_jobs is None else max_jobs)


def read_filter(raw: Mapping[str, Any]) -> JobFilters:
    """The filters of what `show_filter` has written."""
    return _read_filters(Fields(raw, faults=[]))


def show_filter(filters: JobFilters) -> dict[str, Any]:
    """The filter as it is kept and shown: what is not given is left out, tags are `name:value`."""
    shown = {
        "state": filters.state,
        "queue": filters.queue,
        "type": filters.type,
        "tag": [f"{name}:{value}" for name, value in filters.tags] or None,
        "priority": filters.priority,
        "created_after": _show_exactly(filters.created_after),
        "created_before": _show_exactly(filters.created_before),
        "error_group": None if filters.error_group is None else show_id(ERROR_GROUP, filters.error_group),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _read_filters(fields: Fields) -> JobFilters:
    fields.refuse_others(known=frozenset(FILTER_FIELDS))
    return JobFilters(
        state=fields.choice("state", STATES),
        queue=fields.name("queue"),
        type=fields.name("type"),
        priority=fields.integer("priority", low=0, high=MAX_PRIORITY),
        tags=_read_tags(fields),
        created_after=fields.instant("created_after"),
        created_before=fields.instant("created_before"),
        error_group=read_error_group(fields),
    )


def read_error_group(fields: Fields) -> UUID | None:
    """The group of errors that a filter names; None after a fault was noted."""
    text = fields.text("error_group", max_characters=MAX_NAME_CHARACTERS)
    group_id = None if text is None else parse_id(ERROR_GROUP, text)
    if text is not None and group_id is None:
        fields.refuse("error_group", "bad-format", "error_group must be the id of a group of errors, err_….")
    return group_id


def _read_tags(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Tags as a list has them, `name:value` once or several times, or as a job has them, an object."""
    texts = _tag_texts(fields.raw.get("tag"))
    if texts is None:
        fields.refuse(
            "tag", "wrong-type", "tag must be name:value, an array of those, or an object of names and values."
        )
        return ()
    if len(texts) > MAX_TAGS:
        fields.refuse("tag", "too-long", f"tag may have at most {MAX_TAGS} entries.")
        return ()
    tags = [parse_tag(text) for text in texts]
    if None in tags:
        fields.refuse("tag", "bad-format", TAG_RULE)
        return ()
    return tuple(tag for tag in tags if tag is not None)


def _tag_texts(given: object) -> list[str] | None:
    """None for what is neither."""
    entries: list[object]
    match given:
        case None:
            return []
        case str():
            entries = [given]
        case dict() if all(isinstance(value, str) for value in given.values()):
            entries = [f"{name}:{value}" for name, value in given.items()]
        case list():
            entries = given
        case _:
            return None
    return [entry for entry in entries if isinstance(entry, str)] if all(isinstance(e, str) for e in entries) else None


def _show_exactly(moment: datetime | None) -> str | None:
    """To the microsecond: a bound that is cut would let other jobs through."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
