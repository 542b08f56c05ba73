"""Fixtures of pytest for people who test handlers; installed packages bring them along by themselves.

They cost nothing until they are used. All but `perform_job` use pytest-django's `db`, and a database that
`jobservice.testing.environment` starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from jobservice import testing

if TYPE_CHECKING:
    from jobservice.testing.isolation import Performed


@pytest.fixture
def perform_job() -> Callable[..., Performed]:
    """`perform_job(handler, payload)`: one run of a handler in isolation."""
    return testing.perform_job


@pytest.fixture
def job_tenant(db: None) -> Any:
    """A tenant of this test alone: `id`, `name` and an `api_key` of all scopes."""
    return testing.make_tenant()


@pytest.fixture
def submit_job(db: None) -> Callable[..., dict[str, Any]]:
    """`submit_job(tenant, type, payload)`: accept a job in the test database."""
    return testing.submit_job


@pytest.fixture
def submitted_jobs(db: None) -> Callable[..., list[Any]]:
    """`submitted_jobs(tenant)`: the tenant's jobs, payloads opened."""
    return testing.submitted_jobs


@pytest.fixture
def assert_submitted(db: None) -> Callable[..., list[Any]]:
    """`assert_submitted(tenant, type=…, payload=…)`: fail unless such a job was submitted."""
    return testing.assert_submitted


@pytest.fixture
def refute_submitted(db: None) -> Callable[..., None]:
    """`refute_submitted(tenant, type=…)`: fail when such a job was submitted."""
    return testing.refute_submitted


@pytest.fixture
def drain_queue(db: None) -> Callable[..., dict[str, int]]:
    """`drain_queue(tenant, queue)`: run all due handler jobs of a queue, here and now."""
    return testing.drain_queue


@pytest.fixture
def advance(db: None) -> Callable[..., None]:
    """`advance(minutes=5)`: what waits for a moment comes that much nearer."""
    return testing.advance
