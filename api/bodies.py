"""Bodies that may be left out: those of operations that need nothing said, or only an option."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from jobservice.errors import Fault, Invalid
from jobservice.field_checks import Fields


def read_optional_body(request: Request) -> Any:
    """The parsed body; an empty object when there is none. Raises `ApiProblem`."""
    return {} if _is_empty(request) else request.data


def read_no_fields(request: Request) -> None:
    """Pass when there is no body, or an empty object. Raises `Invalid` and `ApiProblem`."""
    raw = read_optional_body(request)
    if not isinstance(raw, dict):
        raise Invalid([Fault("", "wrong-type", "The body must be a JSON object.")])
    fields = Fields(raw, faults=[])
    fields.refuse_others(known=frozenset())
    if fields.faults:
        raise Invalid(fields.faults)


def _is_empty(request: Request) -> bool:
    return request.META.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in request.META
