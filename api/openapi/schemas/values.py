"""Schemas of single values, and the two shapes that recur: a list's page, and an answered object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.openapi.declaration import ref
from jobservice import ids
from jobservice.egress.headers import MAX_VALUE_CHARACTERS
from jobservice.egress.urls import MAX_URL_CHARACTERS
from jobservice.field_checks import NAME

_TYPEID_SUFFIX = "[0-7][0-9a-hjkmnp-tv-z]{25}"
# What a text column cannot hold.
STORABLE = "^[^\\u0000]*$"
# RFC 3339 as it is read: section 5.6 with an offset; as it is written: UTC, to the millisecond.
_ANY_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
_SHOWN_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"

NAME_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{NAME.pattern}$"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time", "pattern": _SHOWN_TIME}
GIVEN_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "pattern": _ANY_TIME}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
URL: dict[str, Any] = {
    "type": "string",
    "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^\\u0000-\\u0020#\\\\]+$",
    "maxLength": MAX_URL_CHARACTERS,
}
# The headers that a tenant may have sent with a call.
HEADERS: dict[str, Any] = {
    "type": ["object", "null"],
    "propertyNames": {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$"},
    "additionalProperties": {
        "type": "string",
        "maxLength": MAX_VALUE_CHARACTERS,
        "pattern": "^[\\u0009\\u0020-\\u007e]*$",
    },
}


def typeid(prefix: str) -> dict[str, Any]:
    """An id of this prefix."""
    return {"type": "string", "pattern": f"^{prefix}_{_TYPEID_SUFFIX}$"}


def integer(low: int, high: int) -> dict[str, Any]:
    """A whole number within the bounds."""
    return {"type": "integer", "minimum": low, "maximum": high}


def number(low: float, high: float) -> dict[str, Any]:
    """A number within the bounds."""
    return {"type": "number", "minimum": low, "maximum": high}


def described(schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The schema with a description."""
    return {**schema, "description": text}


def answered(properties: Mapping[str, Any], *, description: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object that the service writes: every member is there unless it is named optional; new ones may come."""
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }


def written(properties: Mapping[str, Any], *, description: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object that the client writes: nothing but its members is taken."""
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        **({"required": list(required)} if required else {}),
        "additionalProperties": False,
    }


def page_of(name: str, *, order: str) -> dict[str, Any]:
    """A page of a list."""
    return answered(
        {
            "data": {"type": "array", "items": ref(name)},
            "next_cursor": described(
                {"type": ["string", "null"]}, "What `cursor` must be for the next page; null at the end."
            ),
        },
        description=f"Part of a list, {order}.",
    )


JOB_ID = typeid(ids.JOB)
