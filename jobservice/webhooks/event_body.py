"""The body of an event as receivers get it, built from the opened parts. Pure; signing and sending are elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

BODY_LIMIT_BYTES = 20_000
_SHORT_MESSAGE_CHARACTERS = 500
# Made once: `json.dumps` with options makes an encoder for each value.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class OpenedEvent:
    """An event with its sealed parts opened. `result` and `metadata` are UTF-8 JSON; None when there is none.

    `is_result_withheld` says that there is a result which is too large to have been read. An event of no job is told by
    its `details` alone; `seq` numbers the events of a job.
    """

    type: str
    at: datetime
    job: dict[str, Any] | None = field(repr=False)
    seq: int = 1
    details: dict[str, Any] | None = None
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
    return b"{" + b",".join(_named(name) + value for name, value in members.items()) + b"}"


def to_json(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return _encode(value).encode("utf-8", "replace")


def show_instant(moment: datetime) -> str:
    """RFC 3339 in UTC, milliseconds, `Z`; the moment is aware and in UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=256)
def _named(name: str) -> bytes:
    return to_json(name) + b":"


def _body(event: OpenedEvent, error_message: str | None, *, with_result: bool) -> bytes:
    data = {name: to_json(value) for name, value in (event.details or {}).items()}
    if event.job is not None:
        data |= _job_members(event, event.job, error_message, with_result=with_result)
    return join_object(
        {"type": to_json(event.type), "timestamp": to_json(show_instant(event.at)), "data": join_object(data)}
    )


def _job_members(
    event: OpenedEvent, job: dict[str, Any], error_message: str | None, *, with_result: bool
) -> dict[str, bytes]:
    # A job that completed without a value has the result null, and that is all there is to send.
    is_included = with_result and (event.result is not None or event.type == "job.completed")
    members = {"job": to_json(_with_error_message(job, error_message)), "seq": to_json(event.seq)}
    if event.metadata is not None:
        members["metadata"] = event.metadata
    members["result_included"] = to_json(is_included)
    members["result"] = event.result if is_included and event.result is not None else b"null"
    return members


def _with_error_message(job: dict[str, Any], message: str | None) -> dict[str, Any]:
    if message is None or not job.get("error"):
        return job
    return {**job, "error": {**job["error"], "message": message}}
