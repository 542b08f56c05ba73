"""Reading of query parameters: unknown ones are faults, and every fault of a request is reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rest_framework.request import Request

from jobservice.errors import Invalid
from jobservice.field_checks import Fields
from jobservice.jobs.bulk_action_request import read_error_group
from jobservice.jobs.error_group_reads import STATES as ERROR_STATES
from jobservice.jobs.error_group_reads import ErrorFilters
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.selectors import PARTS
from jobservice.jobs.states import STATES
from jobservice.jobs.statistic_ranges import STEPS, TimeRange, read_range
from jobservice.jobs.submission import MAX_TAGS
from jobservice.jobs.tag_filters import TAG_RULE, parse_tag
from jobservice.webhooks.delivery_lists import STATES as DELIVERY_STATES
from jobservice.webhooks.delivery_lists import DeliveryFilters
from jobservice.webhooks.event_types import SENT_TYPES
from tenants.audit_catalogue import ACTIONS
from tenants.audit_lists import AuditFilters

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_CHARACTERS = 200
_MAX_DIGITS = 9
MAX_GIVEN_LIMIT = 10**_MAX_DIGITS - 1
# What may be opened of deliveries.
DELIVERY_PARTS = ("answers",)
# Names of queues and job types are the longest ids.
MAX_AUDIT_ID_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class StatisticsQuery:
    """What statistics are asked for; None is all."""

    queue: str | None
    type: str | None
    range: TimeRange


def read_no_parameters(request: Request) -> None:
    """Pass when the query is empty. Raises `Invalid`."""
    _finish(_parameters(request, known=frozenset()))


def read_paging(request: Request) -> Paging:
    """The paging of a list without filters. Raises `Invalid`."""
    fields = _parameters(request, known=frozenset({"limit", "cursor"}))
    paging = _read_paging(fields)
    _finish(fields)
    return paging


def read_job_query(request: Request) -> tuple[JobFilters, Paging]:
    """The filters and the paging of the list of jobs. Raises `Invalid`."""
    known = {"limit", "cursor", "state", "queue", "type", "priority", "tag", "created_after", "created_before"}
    known |= {"error_group"}
    fields = _parameters(request, known=frozenset(known), repeatable=frozenset({"tag"}))
    filters = JobFilters(
        state=fields.choice("state", STATES),
        queue=fields.name("queue"),
        type=fields.name("type"),
        priority=_whole_number(fields, "priority", low=0, high=9),
        tags=_read_tags(request, fields),
        created_after=fields.instant("created_after"),
        created_before=fields.instant("created_before"),
        error_group=read_error_group(fields),
    )
    paging = _read_paging(fields)
    _finish(fields)
    return filters, paging


def read_statistics_query(request: Request, *, now: datetime) -> StatisticsQuery:
    """Of which jobs and of which time. Raises `Invalid`."""
    fields = _parameters(request, known=frozenset({"queue", "type", "since", "until", "step"}))
    queue, type_ = fields.name("queue"), fields.name("type")
    since, until = fields.instant("since"), fields.instant("until")
    step = fields.choice("step", tuple(STEPS))
    _finish(fields)
    return StatisticsQuery(queue, type_, read_range(since, until, step, now=now))


def read_error_query(request: Request) -> tuple[ErrorFilters, Paging]:
    """The filters and the paging of the list of groups of errors. Raises `Invalid`."""
    fields = _parameters(request, known=frozenset({"limit", "cursor", "state", "type"}))
    filters = ErrorFilters(state=fields.choice("state", ERROR_STATES), type=fields.name("type"))
    paging = _read_paging(fields)
    _finish(fields)
    return filters, paging


def read_include(request: Request) -> list[str]:
    """The parts of a job that are wanted besides itself. Raises `Invalid`."""
    fields = _parameters(request, known=frozenset({"include"}), repeatable=frozenset({"include"}))
    names = _read_parts(request, fields, PARTS)
    _finish(fields)
    return names


def read_delivery_query(request: Request) -> tuple[DeliveryFilters, list[str], Paging]:
    """The filters of a list of deliveries, the parts wanted of them, and the paging. Raises `Invalid`."""
    known = frozenset({"limit", "cursor", "state", "event", "include"})
    fields = _parameters(request, known=known, repeatable=frozenset({"include"}))
    filters = DeliveryFilters(
        state=fields.choice("state", DELIVERY_STATES), event=fields.choice("event", tuple(SENT_TYPES))
    )
    parts = _read_parts(request, fields, DELIVERY_PARTS)
    paging = _read_paging(fields)
    _finish(fields)
    return filters, parts, paging


def read_audit_query(request: Request) -> tuple[AuditFilters, Paging]:
    """The filters and the paging of the audit log. Raises `Invalid`."""
    known = frozenset({"limit", "cursor", "actor", "action", "object", "since", "until"})
    fields = _parameters(request, known=known)
    filters = AuditFilters(
        actor=fields.text("actor", max_characters=MAX_AUDIT_ID_CHARACTERS),
        action=fields.choice("action", tuple(ACTIONS)),
        object=fields.text("object", max_characters=MAX_AUDIT_ID_CHARACTERS),
        since=fields.instant("since"),
        until=fields.instant("until"),
    )
    paging = _read_paging(fields)
    _finish(fields)
    return filters, paging


def _parameters(request: Request, *, known: frozenset[str], repeatable: frozenset[str] = frozenset()) -> Fields:
    """The parameters by name; of a repeatable one only the last, whose reader takes them all."""
    fields = Fields(request.query_params.dict(), faults=[])
    for name, values in request.query_params.lists():
        if name not in known:
            fields.refuse(name[:200], "unknown-parameter", "There is no such parameter here.")
        elif len(values) > 1 and name not in repeatable:
            fields.refuse(name, "bad-format", f"{name} may be given once.")
    return fields


def _read_parts(request: Request, fields: Fields, parts: tuple[str, ...]) -> list[str]:
    # Many generated clients repeat a parameter in place of the commas.
    given = ",".join(request.query_params.getlist("include"))
    names = dict.fromkeys(name for name in given.split(",") if name)
    if set(names) - set(parts):
        fields.refuse("include", "out-of-range", f"include is a list of {', '.join(parts)}, separated by commas.")
    return list(names)


def _finish(fields: Fields) -> None:
    if fields.faults:
        raise Invalid(fields.faults)


def _read_paging(fields: Fields) -> Paging:
    limit = _whole_number(fields, "limit", low=1, high=MAX_GIVEN_LIMIT)
    cursor = fields.text("cursor", max_characters=MAX_CURSOR_CHARACTERS)
    return Paging(DEFAULT_LIMIT if limit is None else min(limit, MAX_LIMIT), cursor)


def _whole_number(fields: Fields, name: str, *, low: int, high: int) -> int | None:
    text: Any = fields.raw.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        fields.refuse(name, "bad-format", f"{name} must be a whole number.")
        return None
    return Fields({name: int(text)}, faults=fields.faults).integer(name, low=low, high=high)


def _read_tags(request: Request, fields: Fields) -> tuple[tuple[str, str], ...]:
    texts = request.query_params.getlist("tag")
    if len(texts) > MAX_TAGS:
        fields.refuse("tag", "too-long", f"tag may be given at most {MAX_TAGS} times.")
        return ()
    tags = [parse_tag(text) for text in texts]
    for tag in tags:
        if tag is None:
            fields.refuse("tag", "bad-format", TAG_RULE)
    return tuple(tag for tag in tags if tag is not None)
