"""Reads where the service is asked to send requests: an address that it may dial, and headers of the tenant's own."""

from __future__ import annotations

from jobservice.egress.headers import check_headers
from jobservice.egress.policy import check_url
from jobservice.egress_policy import egress_policy
from jobservice.errors import EgressRefused
from jobservice.field_checks import Fields

# Shown in place of every header's value; written back, it would replace the value by itself.
MASK = "***"
MAX_HEADERS = 50
MAX_URL_CHARACTERS = 2048


def read_url(fields: Fields, name: str) -> str | None:
    """An address that the service may dial, as far as can be seen before it is resolved."""
    url = fields.text(name, max_characters=MAX_URL_CHARACTERS)
    if url is not None:
        try:
            check_url(url, egress_policy())
        except EgressRefused as error:
            fields.refuse(name, error.code, error.detail)
    return url


def read_headers(fields: Fields, name: str) -> dict[str, str]:
    """Headers by name, none that is ours to set."""
    headers = fields.fields(name)
    if headers is None:
        return {}
    if len(headers.raw) > MAX_HEADERS:
        fields.refuse(name, "too-long", f"There may be at most {MAX_HEADERS} headers.")
        return {}
    values: dict[str, str] = {}
    for header, value in headers.raw.items():
        if not isinstance(value, str):
            headers.refuse(header, "wrong-type", "A header's value must be a string.")
        elif value == MASK:
            headers.refuse(header, "bad-format", "This is how a hidden value is shown; send the value itself.")
        else:
            values[header] = value
    try:
        check_headers(values)
    except EgressRefused as error:
        fields.refuse(name, "bad-format", error.detail)
    return values
