"""Which problems an operation may answer, and how they are described: one answer for each status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.openapi.declaration import Operation, ref
from api.openapi.parameters import HEADERS, OCCASIONAL_HEADERS, PROBLEM_HEADERS
from api.openapi.schemas.problems import one_problem_of, problem_example, problem_name
from api.problems import MEDIA_TYPE, PROBLEM_TYPES

_ALWAYS = ("bad-request", "not-acceptable", "internal", "unavailable")
_WITH_A_KEY = ("unauthenticated", "insufficient-scope", "forbidden", "invalid", "rate-limited")
_WITH_A_BODY = ("malformed-json", "payload-too-large", "unsupported-media-type")


def codes_of(operation: Operation, *, is_public: bool, has_parameters: bool) -> list[str]:
    """The codes of the problems that the operation may answer, in the order of the table of problems."""
    codes = {*_ALWAYS, *operation.errors}
    if not is_public:
        codes |= set(_WITH_A_KEY)
    if operation.body is not None:
        codes |= set(_WITH_A_BODY)
    if has_parameters:
        codes.add("not-found")
    return [code for code in PROBLEM_TYPES if code in codes]


def answer_problems(codes: Iterable[str]) -> dict[str, Any]:
    """The answers by status. A code alone at its status is described once, for all operations."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    return {
        str(status): {"$ref": f"#/components/responses/{problem_name(alike[0])}"} if len(alike) == 1 else _any_of(alike)
        for status, alike in sorted(by_status.items())
    }


def _one(code: str) -> dict[str, Any]:
    content = {"schema": ref(problem_name(code)), "example": problem_example(code)}
    return {
        "description": f"`{code}`: {PROBLEM_TYPES[code].cause}",
        "headers": _headers([code]),
        "content": {MEDIA_TYPE: content},
    }


def _any_of(codes: list[str]) -> dict[str, Any]:
    return {
        "description": "\n".join(f"- `{code}`: {PROBLEM_TYPES[code].cause}" for code in codes),
        "headers": _headers(codes),
        "content": {
            MEDIA_TYPE: {
                "schema": one_problem_of(codes),
                "examples": {code: {"value": problem_example(code)} for code in codes},
            }
        },
    }


def _headers(codes: list[str]) -> dict[str, Any]:
    own = [PROBLEM_HEADERS.get(code, ()) for code in codes]
    told = [*own, *(OCCASIONAL_HEADERS.get(code, ()) for code in codes)]
    names = ["X-Request-Id", *dict.fromkeys(name for names in told for name in names)]
    return {
        # One that comes with some of the problems only is not promised.
        name: {"$ref": f"#/components/headers/{name}"}
        if name == "X-Request-Id" or all(name in names for names in own)
        else {**HEADERS[name], "required": False}
        for name in names
    }


PROBLEM_RESPONSES: dict[str, Any] = {problem_name(code): _one(code) for code in PROBLEM_TYPES}
