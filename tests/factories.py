"""Plain functions that make what a test needs, through the same doors the product uses."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from jobservice.jobs.accept import accept_job
from jobservice.jobs.submission import Submission, SubmissionLimits, parse_submission
from tenants.tenancy import create_tenant

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant made for a test, with a key of all scopes."""

    id: UUID
    name: str
    api_key: str = field(repr=False)


def make_tenant(name: str | None = None) -> Tenant:
    """A new tenant, made as the operator makes one."""
    new = create_tenant(name or f"tenant-{next(_numbers)}")
    return Tenant(new.tenant_id, new.name, new.api_key)


def make_submission(**fields: Any) -> Submission:
    """A checked submission of an `echo` job, or of what the fields say."""
    return parse_submission({"type": "echo", **fields}, limits=SubmissionLimits())


def make_job(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    """An accepted job of the tenant, as the API answers it."""
    return accept_job(tenant.id, make_submission(**fields))
