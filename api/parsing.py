"""Reading a request's body: bounded before it is parsed, and JSON as `strict_json.py` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from rest_framework.parsers import BaseParser

from api.problems import ApiProblem
from jobservice.strict_json import MalformedJson, read_json
from tenants.quotas import payload_bytes_limit

# What a body may hold besides its payload.
ENVELOPE_BYTES = 64 * 1024


class StrictJSONParser(BaseParser):
    """REST framework's door to `read_body` and `parse_json`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The parsed body. Raises `ApiProblem`."""
        view = (parser_context or {}).get("view")
        most = None if view is None else view.most_body_bytes
        least = 0 if view is None else view.least_body_bytes
        max_bytes = max(least, max_body_bytes(stream)) if most is None else most
        return parse_json(read_body(stream, max_bytes=max_bytes))


def max_body_bytes(request: HttpRequest) -> int:
    """What the request's tenant may send: its largest payload, and the rest of the document around it."""
    credential = getattr(request, "auth", None)
    return payload_bytes_limit({} if credential is None else credential.quotas) + ENVELOPE_BYTES


def read_body(request: HttpRequest, *, max_bytes: int) -> bytes:
    """The whole body. Raises `ApiProblem` when it is compressed or larger, without reading on."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise ApiProblem("unsupported-media-type", "The body must not be compressed.")
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    body = _read(_stream(request, is_chunked=not declared), max_bytes + 1)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if declared.isdigit() and len(body) < int(declared):
        raise ApiProblem("bad-request", "The body ended before its Content-Length.")
    return body


def _read(stream: Any, size: int) -> bytes:
    try:
        return bytes(stream.read(size))
    except Exception as error:  # noqa: BLE001 (the server's own reader: whatever it raises, it is the body that is broken)
        if isinstance(error.__cause__ or error, TimeoutError):
            raise ApiProblem("request-timeout", "The body did not arrive in time.") from None
        raise ApiProblem("bad-request", "The body breaks off, or is not framed as HTTP wants it.") from None


def parse_json(body: bytes) -> object:
    """The JSON value of a body. Raises `ApiProblem` (`malformed-json`)."""
    try:
        return read_json(body, named="The body")
    except MalformedJson as error:
        raise ApiProblem(error.code, error.detail) from None


def _stream(request: HttpRequest, *, is_chunked: bool) -> Any:
    """Django reads nothing without a Content-Length; the server has ended a chunked body by itself."""
    if is_chunked and isinstance(request, WSGIRequest) and request.environ.get("wsgi.input_terminated"):
        return request.environ["wsgi.input"]
    return request


def _too_large(max_bytes: int) -> ApiProblem:
    return ApiProblem("payload-too-large", f"The body may have at most {max_bytes} bytes.")
