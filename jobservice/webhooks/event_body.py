"""The body of an event as receivers get it, built from the opened parts. Pure; signing and sending are elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

BODY_LIMIT_BYTES = 20_000
_SHORT_MESSAGE_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class OpenedEvent:
    """An event with its sealed parts opened. `result` and `metadata` are UTF-8 JSON; None when there is none.

    `is_result_withheld` says that there is a result which is too large to have been read.
    """

    type: str
    at: datetime
    job: dict[str, Any] = field(repr=False)
    result: bytes | None = field(default=None, repr=False)
    is_result_withheld: bool = False
    error_message: str | None = field(default=None, repr=False)
    metadata: bytes | None = field(default=None, repr=False)


def event_body(event: OpenedEvent) -> bytes:
    """The body, under 20 kB: a larger result is left out, and then a long error message is cut."""
    if not event.is_result_withheld:
        body = _body(event, event.error_message, with_result=True)
        if len(body) < BODY_LIMIT_BYTES:
            return body
    body = _body(event, event.error_message, with_result=False)
    if len(body) < BODY_LIMIT_BYTES or event.error_message is None:
        return body
    return _body(event, event.error_message[:_SHORT_MESSAGE_CHARACTERS] + "…", with_result=False)


def join_object(members: Mapping[str, bytes]) -> bytes:
    """A JSON object of members that are JSON already: what was stored is sent byte for byte, no number rounded."""
    return b"{" + b",".join(to_json(name) + b":" + value for name, value in members.items()) + b"}"


def to_json(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def show_instant(moment: datetime) -> str:
    """RFC 3339 in UTC, milliseconds, `Z`; the moment is aware and in UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(event: OpenedEvent, error_message: str | None, *, with_result: bool) -> bytes:
    # A job that completed without a value has the result null, and that is all there is to send.
    is_included = with_result and (event.result is not None or event.type == "job.completed")
    data = {"job": to_json(_with_error_message(event.job, error_message))}
    if event.metadata is not None:
        data["metadata"] = event.metadata
    data["result_included"] = to_json(is_included)
    data["result"] = event.result if is_included and event.result is not None else b"null"
    return join_object(
        {"type": to_json(event.type), "timestamp": to_json(show_instant(event.at)), "data": join_object(data)}
    )


def _with_error_message(job: dict[str, Any], message: str | None) -> dict[str, Any]:
    if message is None or not job.get("error"):
        return job
    return {**job, "error": {**job["error"], "message": message}}
