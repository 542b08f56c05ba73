"""Reading a request's body: bounded before it is parsed, and JSON by RFC 8259 with no room for two readings.

Refused: duplicate members, NaN and Infinity, numbers a double cannot hold, integers of more than 4,300 digits, nesting
over 100, half surrogate pairs. Each refusal is quick, whatever the body.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from rest_framework.parsers import BaseParser

from api.problems import ApiProblem
from tenants.quotas import payload_bytes_limit

MAX_DEPTH = 100
# What a body may hold besides its payload.
ENVELOPE_BYTES = 64 * 1024


class StrictJSONParser(BaseParser):
    """REST framework's door to `read_body` and `parse_json`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The parsed body. Raises `ApiProblem`."""
        view = (parser_context or {}).get("view")
        least = 0 if view is None else view.least_body_bytes
        return parse_json(read_body(stream, max_bytes=max(least, max_body_bytes(stream))))


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
    if not body.strip():
        raise _malformed("The body is empty.")
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite
        )
        if b"\\ud" in body or b"\\uD" in body:
            # Only an escape can make half a surrogate pair, and only encoding finds it.
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    except UnicodeEncodeError:
        raise _malformed("The body has half of a surrogate pair.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise _malformed(str(error) if isinstance(error, _Refused) else "An integer has too many digits.") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


class _Refused(ValueError):
    """A value that strict JSON does not have. The text is a sentence."""


def _stream(request: HttpRequest, *, is_chunked: bool) -> Any:
    """Django reads nothing without a Content-Length; the server has ended a chunked body by itself."""
    if is_chunked and isinstance(request, WSGIRequest) and request.environ.get("wsgi.input_terminated"):
        return request.environ["wsgi.input"]
    return request


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("An object has the same member twice.")
    return members


def _refuse_constant(_name: str) -> None:
    raise _Refused("NaN and Infinity are not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Refused("A number is too large.")
    return number


def _check_depth(value: object) -> None:
    """Level by level, so that neither a deep nor a wide value costs more than looking at each part once."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ApiProblem:
    return _malformed(f"The body is nested more than {MAX_DEPTH} deep.")


def _malformed(detail: str) -> ApiProblem:
    return ApiProblem("malformed-json", detail)


def _too_large(max_bytes: int) -> ApiProblem:
    return ApiProblem("payload-too-large", f"The body may have at most {max_bytes} bytes.")
