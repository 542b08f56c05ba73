"""The kinds of bulk actions: what one selects, and what it does to each. How one comes forward is in `bulk_turns.py`.

A kind takes what it selects in the order of the ids, so that a position in it is an id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from django.db import transaction

from jobservice.jobs.bulk_action_request import read_filter, show_filter
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.job_search import JobFilters, expect_many_jobs, find_job_ids, is_match, measure_jobs
from jobservice.jobs.models import BulkAction
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.retry import retry_job
from jobservice.statements import run_statement
from jobservice.webhooks.delivery_retry import retry_delivery
from jobservice.webhooks.delivery_search import find_delivery_ids, measure_deliveries
from jobservice.webhooks.replay_filters import ReplayFilters, read_replay, show_replay
from tenants.models import Tenant
from tenants.quotas import VolumeLimits, volume_limits

REPLAY = "replay"
_SQL = Path(__file__).resolve().parent / "sql"


class BulkKind(Protocol):
    """What every kind can do. All of it in a transaction of the tenant."""

    def columns(self) -> dict[str, Any]:
        """What the action's row keeps of it, for `read_kind`."""

    def measure(self, *, limit: int) -> tuple[int, UUID | None, datetime]:
        """How many it selects now, at most `limit`, the last one's id, and the database's time."""

    def find_ids(self, *, after: UUID | None, up_to: UUID | None, made_by: datetime, limit: int) -> list[UUID]:
        """The next ones after one and up to another, of those made by a moment."""

    def act(self, item_id: UUID) -> bool:
        """Do it to one, under its lock; False when it is selected no more. Raises when the domain refuses it."""


@dataclass(frozen=True, slots=True)
class ActionOnJobs:
    """Cancels, retries or erases the jobs that a filter matches."""

    tenant_id: UUID
    action: str
    filters: JobFilters

    def columns(self) -> dict[str, Any]:
        queues = None if self.filters.queues is None else list(self.filters.queues)
        return {"action": self.action, "filter": show_filter(self.filters), "queues": queues}

    def measure(self, *, limit: int) -> tuple[int, UUID | None, datetime]:
        expect_many_jobs()
        return measure_jobs(self.tenant_id, self.filters, limit=limit)

    def find_ids(self, *, after: UUID | None, up_to: UUID | None, made_by: datetime, limit: int) -> list[UUID]:
        expect_many_jobs()
        return find_job_ids(self.tenant_id, self.filters, after=after, up_to=up_to, made_by=made_by, limit=limit)

    def act(self, item_id: UUID) -> bool:
        if not self._is_still_meant(item_id):
            return False
        match self.action:
            case "cancel":
                cancel_job(self.tenant_id, item_id)
            case "retry":
                limits = _limits(self.tenant_id)
                retry_job(self.tenant_id, item_id, queues=self.filters.queues, limits=limits)
            case "delete":
                erase_job(self.tenant_id, item_id)
        return True

    def _is_still_meant(self, job_id: UUID) -> bool:
        """Whether the filter matches the job under its lock; the verb takes the same locks again in the same order."""
        of_job = {"tenant": self.tenant_id, "job": job_id}
        if not run_statement(_SQL / "lock_live_job.sql", of_job):
            run_statement(_SQL / "lock_ended_job.sql", of_job)
        return is_match(self.tenant_id, self.filters, job_id)


@dataclass(frozen=True, slots=True)
class Replay:
    """Sends deliveries to an endpoint now, or again, each as its own retry would."""

    tenant_id: UUID
    endpoint_id: UUID
    filters: ReplayFilters

    def columns(self) -> dict[str, Any]:
        return {"action": REPLAY, "filter": show_replay(self.filters), "endpoint_id": self.endpoint_id}

    def measure(self, *, limit: int) -> tuple[int, UUID | None, datetime]:
        return measure_deliveries(self.tenant_id, self.endpoint_id, self.filters, limit=limit)

    def find_ids(self, *, after: UUID | None, up_to: UUID | None, made_by: datetime, limit: int) -> list[UUID]:
        bounds: dict[str, Any] = {"after": after, "up_to": up_to, "made_by": made_by, "limit": limit}
        return find_delivery_ids(self.tenant_id, self.endpoint_id, self.filters, **bounds)

    def act(self, item_id: UUID) -> bool:
        retry_delivery(self.tenant_id, item_id, states=self.filters.states)
        transaction.on_commit(wake_dispatcher)
        return True


def read_kind(action: BulkAction) -> BulkKind:
    """What the action selects, and does to it."""
    if action.endpoint_id is not None:
        return Replay(action.tenant_id, action.endpoint_id, read_replay(action.filter))
    queues = None if action.queues is None else tuple(action.queues)
    return ActionOnJobs(action.tenant_id, action.action, replace(read_filter(action.filter), queues=queues))


def _limits(tenant_id: UUID) -> VolumeLimits:
    """As they are now: the action may run for long."""
    return volume_limits(Tenant.objects.values_list("quotas", flat=True).get(id=tenant_id))
