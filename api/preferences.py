"""The Prefer header (RFC 7240): only `wait` means anything here, and what is unknown or malformed is ignored."""

from __future__ import annotations

import re

from rest_framework.request import Request

MAX_WAIT_SECONDS = 60
# A preference ends at a comma outside of quotes. The length is bounded: each quote without an end is looked for anew.
_PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')
_MAX_CHARACTERS = 500


def read_wait(request: Request) -> int | None:
    """How many seconds the client would wait for the end, at most 60; None when it would not."""
    header = request.META.get("HTTP_PREFER", "")
    if not header or len(header) > _MAX_CHARACTERS:
        return None
    if _PREFERENCE.sub("", header).strip(", \t"):
        return None  # a quote that never ends
    for preference in _PREFERENCE.findall(header):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            # Of a repeated preference only the first counts (section 2).
            return _read_seconds(value.strip())
    return None


def _read_seconds(text: str) -> int | None:
    if len(text) > 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text), MAX_WAIT_SECONDS) or None
