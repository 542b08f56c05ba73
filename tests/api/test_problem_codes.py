"""The codes of problems: those of the contract are there, and each has its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.problems import PROBLEM_TYPES

pytestmark = pytest.mark.django_db


def test_every_code_of_the_contract_has_its_page(api: Any) -> None:
    for code, kind in PROBLEM_TYPES.items():
        assert re.fullmatch("[a-z-]+", code)
        page = api.get(f"/docs/problems/{code}").content.decode()
        assert kind.cause.split()[0] in page
        assert "<h2>Fix</h2>" in page
    assert set(PROBLEM_TYPES) >= CONTRACT
    raised = {code for path in sources() for code in re.findall(r'ApiProblem\(\s*"([a-z-]+)"', path.read_text())}
    assert raised <= set(PROBLEM_TYPES)


# fmt: off
CONTRACT = {
    "malformed-json", "unauthenticated", "insufficient-scope", "forbidden", "not-found", "method-not-allowed",
    "not-acceptable", "conflict", "unique-conflict", "job-not-waiting", "job-not-terminal", "job-terminal",
    "no-own-secret", "lease-lost", "idempotency-key-in-use", "precondition-failed", "payload-too-large",
    "unsupported-media-type", "invalid", "unknown-job-type", "idempotency-key-reused", "egress-refused", "rate-limited",
    "quota-exceeded", "internal", "unavailable",
}
# fmt: on


def sources() -> Iterator[Path]:
    return (Path(__file__).parents[2] / "api").rglob("*.py")
