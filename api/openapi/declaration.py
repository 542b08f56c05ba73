"""The words in which an operation is described: what it takes, what it answers, and which problems it may meet.

Who may call it is not repeated here: the operation class says so itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]
JSON = "application/json"


def ref(name: str) -> dict[str, Any]:
    """A reference to a schema of the document by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> dict[str, Any]:
    """The schema, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the query or header of the request. Those of the path are known by their names."""

    name: str
    schema: Schema
    description: str
    place: str = "query"
    is_exploded: bool = True


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON body: the name of its schema, and examples by title."""

    schema: str
    examples: Mapping[str, Any]
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `headers` are names of the table of headers; `links` lead to operations by their ids."""

    description: str
    schema: Schema | None = None
    example: Any = None
    headers: tuple[str, ...] = ()
    links: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `errors` are the codes of problems beyond those that any operation of its kind may answer."""

    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    errors: tuple[str, ...] = ()
    callbacks: Mapping[str, Any] = field(default_factory=dict)
