"""How a hostile request is made: to every operation, measured, and held against what any answer must be."""

from __future__ import annotations

import time
from typing import Any

from jobservice.jobs.models import Job, JobType, Queue
from tests.api.keys import problem
from tests.factories import Tenant
from tests.security.operations import Operation, all_operations

CPU_SECONDS = 0.25


def operations(*, with_body: bool = False, closed: bool = False) -> list[Operation]:
    found = [one for one in all_operations() if (one.has_body or not with_body) and not (closed and one.is_public)]
    assert found
    return found


def call(api: Any, tenant: Tenant, operation: Operation, path: str, body: Any = b"", **headers: str) -> Any:
    """One request that must be answered, in its time, and not with a fault of the service."""
    answer, spent = _timed_call(api, tenant, operation, path, body, headers)
    if spent >= CPU_SECONDS:
        # What an input costs it costs again; a collection of garbage or a busy machine does not come twice.
        answer, again = _timed_call(api, tenant, operation, path, body, headers)
        spent = min(spent, again)
    told = f"{operation.method} {path[:80]} {answer.status_code} {answer.content[:300]!r}"
    assert answer.status_code < 500, told
    assert spent < CPU_SECONDS, f"{spent:.3f} s of CPU: {told}"
    if answer.status_code >= 400:
        problem(answer, answer.status_code, answer.json()["code"])
        assert len(answer.content) < 40_000
    return answer


def _timed_call(
    api: Any, tenant: Tenant, operation: Operation, path: str, body: Any, headers: dict[str, str]
) -> tuple[Any, float]:
    """The answer, and the processor seconds of this thread alone, in which the request was answered."""
    began = time.thread_time()
    answer = api.call(operation.method, path, body, tenant.api_key, dict(headers))
    return answer, time.thread_time() - began


def nothing_was_made() -> bool:
    return (Job.objects.count(), JobType.objects.count(), Queue.objects.count()) == (1, 0, 1)
