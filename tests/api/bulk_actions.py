"""What tests of bulk actions say often: ask for one, let the background take its turns, and look at the jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from jobservice.ids import BULK_ACTION, parse_id
from jobservice.jobs.bulk_turns import lease_next_action, serve_turn
from jobservice.jobs.models import BulkAction, Job, LiveJob
from tests.factories import Tenant
from tests.roles import as_role

PATH = "/v1/jobs/bulk-actions"


def ask(api: Any, tenant: Tenant, action: str, *, key: str | None = None, **body: Any) -> Any:
    """The answer to a bulk action over the given filter; `max` and `headers` are what they say."""
    headers = body.pop("headers", {})
    limit = {"max": body.pop("max")} if "max" in body else {}
    return api.post(PATH, {"action": action, "filter": body, **limit}, key=key or tenant.api_key, **headers)


def serve_all() -> int:
    """Take turns as a web process's runner, each as long as it needs, until nothing is to be done; how many."""
    turns = 0
    with as_role("web"):
        while (lease := lease_next_action()) is not None:
            serve_turn(lease, max_seconds=600.0)
            turns += 1
    return turns


def dying_at(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, but for one call, the first being 1: there the process dies."""
    calls = iter(range(1, number + 1))

    def call(*arguments: Any) -> Any:
        if next(calls) == number:
            raise KeyboardInterrupt
        return function(*arguments)

    return call


def row_of(shown: dict[str, Any]) -> BulkAction:
    action_id = parse_id(BULK_ACTION, shown["id"])
    assert action_id is not None
    return BulkAction.objects.get(id=action_id)


def states(tenant: Tenant) -> Counter[str]:
    """How many jobs of the tenant are in each state."""
    live = LiveJob.objects.filter(tenant_id=tenant.id).values_list("state", flat=True)
    ended = Job.objects.filter(tenant_id=tenant.id, final_state__isnull=False).values_list("final_state", flat=True)
    return Counter([*live, *(str(state) for state in ended)])


def counts(shown: dict[str, Any]) -> tuple[str, int, int, int]:
    return shown["status"], shown["matched"], shown["done"], shown["skipped"]
