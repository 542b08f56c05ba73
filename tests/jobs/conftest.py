"""Fixtures of the tests of jobs."""

from __future__ import annotations

import pytest

from jobservice.jobs import payload_schema


@pytest.fixture
def own_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schemas of handlers that a test keeps are gone after it."""
    monkeypatch.setattr(payload_schema, "_of_handlers", {})
