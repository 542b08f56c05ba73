"""Reading of query parameters: unknown ones are faults, and every fault of a request is reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.request import Request

from jobservice.errors import Fault, Invalid
from jobservice.jobs.field_checks import Fields, is_storable
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.selectors import PARTS
from jobservice.jobs.states import STATES
from jobservice.jobs.submission import MAX_TAG_CHARACTERS, MAX_TAGS

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_CHARACTERS = 200
_MAX_DIGITS = 9
MAX_GIVEN_LIMIT = 10**_MAX_DIGITS - 1


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None


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
    fields = _parameters(request, known=frozenset(known), repeatable=frozenset({"tag"}))
    filters = JobFilters(
        state=fields.choice("state", STATES),
        queue=fields.name("queue"),
        type=fields.name("type"),
        priority=_whole_number(fields, "priority", low=0, high=9),
        tags=_read_tags(request, fields),
        created_after=fields.instant("created_after"),
        created_before=fields.instant("created_before"),
    )
    paging = _read_paging(fields)
    _finish(fields)
    return filters, paging


def read_include(request: Request) -> list[str]:
    """The parts of a job that are wanted besides itself. Raises `Invalid`."""
    fields = _parameters(request, known=frozenset({"include"}), repeatable=frozenset({"include"}))
    # Many generated clients repeat a parameter in place of the commas.
    given = ",".join(request.query_params.getlist("include"))
    names = dict.fromkeys(name for name in given.split(",") if name)
    if set(names) - set(PARTS):
        fields.refuse("include", "out-of-range", f"include is a list of {', '.join(PARTS)}, separated by commas.")
    _finish(fields)
    return list(names)


def _parameters(request: Request, *, known: frozenset[str], repeatable: frozenset[str] = frozenset()) -> Fields:
    """The parameters by name; of a repeatable one only the last, whose reader takes them all."""
    fields = Fields(request.query_params.dict(), faults=[])
    for name, values in request.query_params.lists():
        if name not in known:
            fields.refuse(name[:200], "unknown-parameter", "There is no such parameter here.")
        elif len(values) > 1 and name not in repeatable:
            fields.refuse(name, "bad-format", f"{name} may be given once.")
    return fields


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
    return tuple(tag for text in texts if (tag := _read_tag(text, fields.faults)) is not None)


def _read_tag(text: str, faults: list[Fault]) -> tuple[str, str] | None:
    name, colon, value = text.partition(":")
    is_named = Fields({"tag": name}, faults=[]).name("tag") is not None
    if not colon or not is_named or len(value) > MAX_TAG_CHARACTERS or not is_storable(value):
        faults.append(Fault("/tag", "bad-format", "tag must be name:value, as the job has it."))
        return None
    return name, value
