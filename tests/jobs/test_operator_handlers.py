"""What the operator's handlers say of themselves, read at the start of the web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobservice.env import ConfigurationError
from jobservice.handlers import handler, registry
from jobservice.jobs import operator_handlers
from jobservice.jobs.operator_handlers import handler_defaults, handler_schema, load_operator_handlers


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    operator_handlers.installed_handlers.cache_clear()
    yield
    operator_handlers.installed_handlers.cache_clear()


def test_a_handler_brings_defaults_and_a_schema() -> None:
    handler("trial.count", timeout_seconds=5, payload_schema=False)(lambda payload, job: None)
    load_operator_handlers()
    assert handler_defaults("trial.count") == {"timeout_seconds": 5}
    assert handler_schema("trial.count") is False
    assert handler_schema("echo") is None


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "strin"}, "/type: "),
        ({"items": {"$ref": "file:///etc/passwd"}}, "/items/$ref: "),
        ([], ""),
        ({"const": object()}, ""),
    ],
)
def test_a_bad_schema_stops_the_start_and_names_the_handler(schema: Any, place: str) -> None:
    handler("trial.count", payload_schema=schema)(lambda payload, job: None)
    with pytest.raises(ConfigurationError) as caught:
        load_operator_handlers()
    assert str(caught.value).startswith(f"The payload_schema of the handler trial.count cannot be used: {place}")
