"""Holds every exchange of the everyday tests against the OpenAPI document: what it does not say may not happen.

An answer must have a status, headers and a body that the operation declares, and nothing more; a request that was taken
must have been one that the document allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from api.openapi.document import build_document
from api.openapi.schemas.problems import FAULT_CODES
from api.problems import MEDIA_TYPE

# Problems that any address may answer, an unknown one too.
_EVERYWHERE = {"bad-request", "not-found", "method-not-allowed", "request-timeout", "uri-too-long", "headers-too-large"}
# A larger request is not parsed again: tests measure what one costs.
_CHECKED_BYTES = 100_000
# Pages for people are no part of the document.
_PAGES = re.compile(r"/docs(/assets/.*)?$")


def check_exchange(method: str, target: str, content: bytes, answer: Any) -> None:
    """Raise `AssertionError` when the document does not say that this can be answered."""
    path = urlsplit(target).path
    if answer.status_code < 400 and _PAGES.match(path):
        return
    operation = _find_operation(method, path)
    where = f"{method} {target} → {answer.status_code}"
    code = _problem_code(answer)
    if operation is None or code == "method-not-allowed":
        assert code in _EVERYWHERE, f"{where} is not in the document"
        _check_body(where, answer, {"$ref": "#/components/schemas/Problem"})
        return
    declared = operation["responses"].get(str(answer.status_code))
    assert declared is not None, f"{where} ({code}) is not in the document"
    _check_declared(where, method, _resolve(declared), answer)
    is_taken = 200 <= answer.status_code < 300 and "requestBody" in operation and len(content) <= _CHECKED_BYTES
    if is_taken and not content:
        assert not operation["requestBody"]["required"], f"{where} was taken without a body"
    elif is_taken and not _is_partly_refused(answer):
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        _validate(f"{where}, the request that was taken", json.loads(content), schema)


def check_webhook(name: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raise `AssertionError` when a request that the service made is not the webhook of this name."""
    operation = _document()["webhooks"][name]["post"]
    for header in operation["parameters"]:
        value = headers.get(header["name"].lower())
        assert value is not None or not header["required"], f"{name} lacks the header {header['name']}"
        if value is not None:
            _validate(f"{name}, header {header['name']}", value, header["schema"])
    _validate(name, json.loads(body), operation["requestBody"]["content"]["application/json"]["schema"])


def check_example(schema: Mapping[str, Any], example: Any) -> None:
    """Raise `AssertionError` when an example is not what its schema says."""
    _validate("an example", example, schema)


def _check_declared(where: str, method: str, declared: Mapping[str, Any], answer: Any) -> None:
    for name, header in declared.get("headers", {}).items():
        value = answer.headers.get(name)
        assert value is not None or not _resolve(header).get("required"), f"{where} lacks the header {name}"
        schema = _resolve(header)["schema"]
        if value is not None:
            _validate(f"{where}, header {name}", int(value) if schema["type"] == "integer" else value, schema)
    if method == "HEAD" or "content" not in declared:
        assert not answer.content, f"{where} has a body"
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    assert media_type in declared["content"], f"{where} is {media_type}"
    if media_type.endswith("json"):
        _check_body(where, answer, declared["content"][media_type]["schema"])


def _check_body(where: str, answer: Any, schema: Mapping[str, Any]) -> None:
    if answer.content:
        document = json.loads(answer.content)
        _validate(where, document, schema)
        unknown = {fault["code"] for fault in document.get("errors", [])} - set(FAULT_CODES)
        assert not unknown, f"{where}: codes of faults that the document does not name: {unknown}"


def _is_partly_refused(answer: Any) -> bool:
    """Whether some part of a group was refused, so that the request as a whole need not be right."""
    entries = json.loads(answer.content).get("data", []) if answer.content else []
    return any("problem" in entry for entry in entries)


def _problem_code(answer: Any) -> str | None:
    if not answer.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
        return None
    # Of a HEAD there is no document, only its status.
    statuses = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}
    return json.loads(answer.content)["code"] if answer.content else statuses.get(answer.status_code)


def _validate(where: str, value: Any, schema: Mapping[str, Any]) -> None:
    faults = list(_validator(json.dumps(schema)).iter_errors(value))
    told = "; ".join(f"/{'/'.join(map(str, fault.instance_path))}: {fault.message}" for fault in faults[:5])
    assert not faults, f"{where} is not as the document says: {told}"


@lru_cache(maxsize=1000)
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": {"schemas": _strict_schemas()}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return build_document()


@lru_cache(maxsize=1)
def _strict_schemas() -> dict[str, Any]:
    """The schemas of the document, but what is answered has no members that they do not name."""
    strict: dict[str, Any] = _closed(_document()["components"]["schemas"])
    return strict


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(value) for name, value in part.items()}
    if closed.get("type") == "object" and isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def _resolve(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = _document()
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return _resolve(found)


def _find_operation(method: str, path: str) -> Mapping[str, Any] | None:
    for pattern, operations in _patterns():
        if pattern.fullmatch(path):
            found: Mapping[str, Any] | None = operations.get("get" if method == "HEAD" else method.lower())
            return found
    return None


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return list(_compile(_document()["paths"]))


def _compile(paths: Mapping[str, Any]) -> Iterator[tuple[re.Pattern[str], dict[str, Any]]]:
    # Addresses without parameters first, so that one is not taken for an id.
    for path in sorted(paths, key=lambda path: path.count("{")):
        yield re.compile(re.sub(r"{[a-z_]+}", "[^/]+", path)), paths[path]
