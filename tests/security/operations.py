"""Every operation of the API with an address that exists. A new path parameter needs a value here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import get_resolver

from api.views import ApiView, PublicView

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
# Operations that take no body, and so read none.
BODILESS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address; `route` has its parameters in angle brackets."""

    method: str
    route: str
    view: type[ApiView]

    @property
    def is_public(self) -> bool:
        return issubclass(self.view, PublicView)

    @property
    def has_body(self) -> bool:
        return self.method in BODY_METHODS and self.view.__name__ not in BODILESS

    def path(self, values: Mapping[str, str]) -> str:
        """The address with these values for its parameters."""
        parts = [values[_parameter(part)] if part.startswith("<") else part for part in self.route.split("/")]
        return "/" + "/".join(parts)


def all_operations() -> list[Operation]:
    """Read from the addresses themselves, so that none can be forgotten."""
    return [
        Operation(method, str(address.pattern), view)
        for pattern in get_resolver().url_patterns
        for address in getattr(pattern, "url_patterns", [pattern])
        for method, view in getattr(address.callback, "operations", {}).items()
    ]


def _parameter(part: str) -> str:
    return part.strip("<>").rpartition(":")[2]
