"""API keys with less than every right, and what each operation's tests check of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenants.api_keys import create_api_key
from tenants.context import tenant_tx
from tests.factories import Tenant


def make_key(
    tenant: Tenant, *scopes: str, queues: Sequence[str] | None = None, cidrs: Sequence[str] | None = None
) -> str:
    """The text of a new key of the tenant with these scopes and limits."""
    with tenant_tx(tenant.id):
        _, text = create_api_key(tenant.id, name="limited", scopes=scopes, queues=queues, cidrs=cidrs)
    return text


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, after checking all that every problem has in common."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"/docs/problems/{code}"
    assert document["request_id"] == answer.headers["X-Request-Id"]
    assert document["title"]
    assert document["detail"]
    return document


def faults(answer: Any) -> set[tuple[str, str]]:
    """Pointer and code of every fault of a 422."""
    document = problem(answer, 422, "invalid")
    assert all(fault["detail"] for fault in document["errors"])
    return {(fault["pointer"], fault["code"]) for fault in document["errors"]}


def without_request_id(answer: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, document and headers of an answer, less what differs between any two requests."""
    document = answer.json()
    document.pop("request_id")
    volatile = ("X-Request-Id", "RateLimit")
    return answer.status_code, document, {k: v for k, v in answer.headers.items() if k not in volatile}
