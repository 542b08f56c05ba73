"""How answers are written: compact JSON, whatever acceptable form the client asked for. No browsable pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.problems import ApiProblem

_MAX_ACCEPT_CHARACTERS = 8192
_MAX_CONTENT_TYPE_CHARACTERS = 256
_ACCEPTABLE = frozenset({"*/*", "application/*", "application/json", "application/problem+json"})


class WithParts(dict[str, Any]):
    """An object some of whose members are JSON text already: they are written as they were stored."""

    def __init__(self, members: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        super().__init__(members)
        self.parts = parts


class ApiRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """UTF-8 JSON; nothing for no data."""
        if data is None:
            return b""
        document = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
        if isinstance(data, WithParts):
            parts = (b"," + json.dumps(name).encode() + b":" + text for name, text in data.parts.items())
            return document[:-1] + b"".join(parts) + b"}"
        return document


class ApiNegotiation(BaseContentNegotiation):
    """One form out, one form in; everything else is refused by name."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The renderer. Raises `ApiProblem` (`not-acceptable`)."""
        accept = request.META.get("HTTP_ACCEPT", "*/*")
        if not is_acceptable(accept):
            raise ApiProblem("not-acceptable", "This operation answers in application/json.")
        renderer = next(iter(renderers))
        return renderer, renderer.media_type

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The parser; None, which is answered with 415, unless the body says that it is JSON in UTF-8."""
        content_type = request.content_type[: _MAX_CONTENT_TYPE_CHARACTERS + 1].lower()
        media_type, *options = (part.strip() for part in content_type.split(";"))
        charsets = [option.partition("=")[2].strip('" ') for option in options if option.startswith("charset")]
        if media_type != "application/json" or any(charset not in ("utf-8", "utf8") for charset in charsets):
            return None
        return next(iter(parsers)) if len(content_type) <= _MAX_CONTENT_TYPE_CHARACTERS else None


def is_acceptable(accept: str) -> bool:
    """Whether an Accept header leaves room for JSON. An empty one says nothing, and a quality of 0 says no."""
    if accept in _ACCEPTABLE or not accept.strip():
        return True
    for entry in accept[:_MAX_ACCEPT_CHARACTERS].split(","):
        media_type, *options = (part.strip().lower() for part in entry.split(";"))
        if media_type in _ACCEPTABLE and not any(_is_zero(option) for option in options):
            return True
    return False


def _is_zero(option: str) -> bool:
    name, _, value = option.partition("=")
    return name.strip() == "q" and value.strip().strip("0.") == ""
