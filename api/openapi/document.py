"""The OpenAPI 3.1 document, built from the addresses, the operation classes and what is declared about each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from api.openapi.declaration import JSON, Answer, Body, Operation, Parameter
from api.openapi.introduction import INTRODUCTION, VERSION
from api.openapi.operations import OPERATIONS, PAGES, TAGS
from api.openapi.parameters import HEADERS, PATH_PARAMETERS, RATE_LIMIT
from api.openapi.problem_answers import PROBLEM_RESPONSES, answer_problems, codes_of
from api.openapi.schemas import SCHEMAS
from api.openapi.webhooks import WEBHOOKS
from api.views import ApiView

SECURITY_SCHEME = "apiKey"
_CONVERTER = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")


def build_document() -> dict[str, Any]:
    """The whole document, in a stable order. Raises `ImproperlyConfigured` for an operation that is not declared."""
    paths: dict[str, dict[str, Any]] = {}
    for address, method, view in list_operations():
        paths.setdefault(address, {})[method.lower()] = _operation(address, view, find_declaration(view))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jobservice",
            "version": VERSION,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "webhooks": WEBHOOKS,
        "components": {
            "schemas": SCHEMAS,
            "responses": PROBLEM_RESPONSES,
            "headers": HEADERS,
            "securitySchemes": {
                SECURITY_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "js_live_…",
                    "description": "An API key of the tenant. What it may do is said by its scopes.",
                }
            },
        },
    }


def write_document(document: dict[str, Any]) -> str:
    """The text of the document as it is kept in the repository."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def list_operations() -> Iterator[tuple[str, str, type[ApiView]]]:
    """Address, method and class of every operation that belongs into the document."""
    for address, operations in _addresses():
        for method, view in operations.items():
            if view not in PAGES:
                yield address, method, view


def find_declaration(view: type[ApiView]) -> Operation:
    """What is declared about the operation. Raises `ImproperlyConfigured` when nothing is."""
    declaration = OPERATIONS.get(view)
    if declaration is None:
        raise ImproperlyConfigured(f"{view.__name__} is not declared in api/openapi/operations/.")
    return declaration


def _addresses() -> Iterator[tuple[str, dict[str, type[ApiView]]]]:
    for pattern in get_resolver("api.urls").url_patterns:
        dispatch: Any = pattern.callback
        yield "/" + _CONVERTER.sub(r"{\1}", str(pattern.pattern)), dispatch.operations


def _operation(address: str, view: type[ApiView], declaration: Operation) -> dict[str, Any]:
    scopes, others = sorted(view.required_scopes), sorted(view.other_scopes)
    described: dict[str, Any] = {
        "operationId": view.__name__[0].lower() + view.__name__[1:],
        "summary": declaration.summary,
        "description": _description(declaration, scopes, view),
        "tags": [declaration.tag],
        "security": [{SECURITY_SCHEME: way} for way in (scopes, others) if way],
        **({"x-required-scopes": scopes} if scopes else {}),
    }
    parameters = [*_path_parameters(address), *map(_parameter, declaration.parameters)]
    if parameters:
        described["parameters"] = parameters
    if declaration.body is not None:
        described["requestBody"] = _body(declaration.body)
    told = () if not scopes else RATE_LIMIT
    answers = {str(status): _answer(answer, told=told) for status, answer in declaration.answers.items()}
    codes = codes_of(declaration, is_public=not scopes, has_parameters="{" in address)
    described["responses"] = answers | answer_problems(codes)
    if declaration.callbacks:
        described["callbacks"] = declaration.callbacks
    return described


def _description(declaration: Operation, scopes: list[str], view: type[ApiView]) -> str:
    needed = f"Needs the scope {_list_scopes(scopes)}." if scopes else "Needs no key."
    if view.other_scopes:
        needed = f"Needs the scope {_list_scopes(scopes)}, or {_list_scopes(sorted(view.other_scopes))}."
    if view.needs_every_queue:
        needed += " Not for keys that are limited to queues."
    return f"{declaration.description}\n\n{needed}".strip()


def _list_scopes(scopes: list[str]) -> str:
    return " and ".join(f"`{scope}`" for scope in scopes)


def _path_parameters(address: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]}
        for name in re.findall(r"{([a-z_]+)}", address)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    is_list = parameter.schema.get("type") == "array"
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        **({"style": "form", "explode": parameter.is_exploded} if is_list else {}),
        "schema": parameter.schema,
    }


def _body(body: Body) -> dict[str, Any]:
    examples = {
        re.sub(r"[^a-z]+", "-", title.lower()): {"summary": title, "value": value}
        for title, value in body.examples.items()
    }
    schema = {"$ref": f"#/components/schemas/{body.schema}"}
    return {"required": body.is_required, "content": {JSON: {"schema": schema, "examples": examples}}}


def _answer(answer: Answer, *, told: tuple[str, ...]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": answer.description,
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *told, *answer.headers)
        },
    }
    if answer.schema is not None:
        example = {} if answer.example is None else {"example": answer.example}
        described["content"] = {answer.media_type: {"schema": answer.schema, **example}}
    if answer.links:
        described["links"] = answer.links
    return described
