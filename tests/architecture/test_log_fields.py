"""Every field that an event is given is one that the log writes: others are dropped without a word."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from jobservice.logs import ALLOWED_FIELDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "jobservice", "tenants", "workers")


def given_fields() -> Iterator[tuple[str, str]]:
    """The place and the name of each field that a call of `log_event` names; those of a `**` are not seen."""
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log_event":
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield from ((place, keyword.arg) for keyword in node.keywords if keyword.arg not in (None, "level"))


def test_no_event_is_given_a_field_that_is_dropped() -> None:
    fields = list(given_fields())
    assert len(fields) > 100
    assert [(place, name) for place, name in fields if name not in ALLOWED_FIELDS] == []
