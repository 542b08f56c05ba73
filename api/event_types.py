"""The operation that lists the events which endpoints can be told of, each with the schema of its body."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.openapi.schemas import SCHEMAS
from api.openapi.schemas.events import event_name
from api.queries import read_no_parameters
from api.views import ApiView
from jobservice.webhooks.event_types import SENT_TYPES

_IN_DOCUMENT, _IN_SCHEMA = "#/components/schemas/", "#/$defs/"
_REFERENCE = re.compile(f'"{re.escape(_IN_DOCUMENT)}([A-Za-z]+)"')


class ListEventTypes(ApiView):
    """Nothing of the tenant is in it; the scope is that of whoever makes endpoints."""

    required_scopes = frozenset({"webhooks:write"})

    def get(self, request: Request) -> Response:
        """All types at once: they are few."""
        read_no_parameters(request)
        return Response({"data": list_event_types()})


def list_event_types() -> list[dict[str, Any]]:
    """Each type with what it tells and the JSON Schema of its body."""
    return [
        {"name": name, "description": description, "schema": whole_schema(event_name(name))}
        for name, description in SENT_TYPES.items()
    ]


@lru_cache(maxsize=100)
def whole_schema(name: str) -> dict[str, Any]:
    """A schema of the document that stands alone: what it refers to comes along in `$defs`."""
    wanted, found = [name], {}
    while wanted:
        text = json.dumps(SCHEMAS[wanted.pop()])
        for other in _REFERENCE.findall(text):
            if other not in found:
                found[other] = SCHEMAS[other]
                wanted.append(other)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name]}
    if found:
        whole["$defs"] = dict(sorted(found.items()))
    moved: dict[str, Any] = json.loads(json.dumps(whole).replace(f'"{_IN_DOCUMENT}', f'"{_IN_SCHEMA}'))
    return moved
