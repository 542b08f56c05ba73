"""What the two pools of the egress process do: http jobs and webhook deliveries, each as one `Work`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from jobservice.crypto.message_mac import Ref
from jobservice.egress.client import EgressClient
from jobservice.ids import new_id
from jobservice.jobs.leases import release_jobs, renew_leases, start_jobs
from jobservice.jobs.outcomes import Outcome, StartedJob
from jobservice.jobs.record import record_outcomes
from jobservice.webhooks.deliveries import (
    DeliveryResult,
    record_deliveries,
    release_deliveries,
    renew_deliveries,
    start_deliveries,
)
from workers.executors.deliveries import DeliveryRun, Try, make_result, prepare_deliveries, run_delivery
from workers.executors.http import HttpRun, make_outcome, prepare_http_jobs, run_http_job
from workers.executors.verdicts import fail
from workers.held_jobs import look_at_held

S = TypeVar("S")
E = TypeVar("E")

_SENTENCES = {
    "cancelled": "The job was cancelled while its request was under way.",
    "internal": "The request could not be made because of a fault of the service.",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What the database says of held refs: those still ours, and those of them to be cancelled."""

    kept: Collection[Ref]
    cancelled: Collection[Ref] = ()


class Work(Protocol[S, E]):
    """What a pool does. All but `send` read or write the database and run in threads."""

    @property
    def pool(self) -> str: ...

    def start(self, refs: Sequence[Ref], *, worker_id: UUID) -> list[tuple[Ref, S]]:
        """Start those of the refs that are still to be started, under a lease of this worker."""

    async def send(self, started: S) -> E:
        """Do it, on the event loop. Must not block."""

    def end_without_answer(self, started: S, code: str) -> E:
        """What to record when `send` was cancelled or broke; `code` says which."""

    def record(self, ended: Sequence[E]) -> None:
        """Write the ends. Raises `OperationalError` or `InterfaceError` while the database is away."""

    def renew(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        """Prolong the leases."""

    def look(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look | None:
        """Only look, without a renewal; None when there is nothing to look for."""

    def release(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        """Give started ones back, no attempt counted."""


class HttpJobs:
    """Jobs of the http executor."""

    pool = "egress"

    def __init__(self, client: EgressClient, *, lease_seconds: float) -> None:
        self._client = client
        self._lease_seconds = lease_seconds

    def start(self, refs: Sequence[Ref], *, worker_id: UUID) -> list[tuple[Ref, HttpRun]]:
        jobs = start_jobs(refs, worker_id=worker_id, group_id=new_id(), lease_seconds=self._lease_seconds)
        began = time.monotonic()
        runs = _or_release(
            lambda: prepare_http_jobs(jobs, worker_id=worker_id, began=began),
            lambda: release_jobs([_job_ref(job) for job in jobs], worker_id=worker_id),
        )
        return [(_job_ref(run.job), run) for run in runs]

    async def send(self, started: HttpRun) -> Outcome:
        return await run_http_job(started, self._client)

    def end_without_answer(self, started: HttpRun, code: str) -> Outcome:
        return make_outcome(started, fail(code, _SENTENCES[code], is_permanent=code == "cancelled"))

    def record(self, ended: Sequence[Outcome]) -> None:
        record_outcomes(ended)

    def renew(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        renewal = renew_leases(refs, worker_id=worker_id, lease_seconds=self._lease_seconds)
        return _look(refs, kept=renewal.kept, cancelled=renewal.cancelled)

    def look(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        held = look_at_held(refs, worker_id=worker_id)
        return _look(refs, kept=held.kept, cancelled=held.cancelled)

    def release(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        return release_jobs(refs, worker_id=worker_id)


class Deliveries:
    """Webhook deliveries. Nobody cancels one, so there is nothing to look for between renewals."""

    pool = "deliveries"

    def __init__(self, client: EgressClient, *, lease_seconds: float) -> None:
        self._client = client
        self._lease_seconds = lease_seconds

    def start(self, refs: Sequence[Ref], *, worker_id: UUID) -> list[tuple[Ref, DeliveryRun]]:
        deliveries = start_deliveries(refs, worker_id=worker_id, lease_seconds=self._lease_seconds)
        runs = _or_release(
            lambda: prepare_deliveries(deliveries),
            lambda: release_deliveries([delivery.ref for delivery in deliveries], worker_id=worker_id),
        )
        return [(run.delivery.ref, run) for run in runs]

    async def send(self, started: DeliveryRun) -> DeliveryResult:
        return await run_delivery(started, self._client)

    def end_without_answer(self, started: DeliveryRun, code: str) -> DeliveryResult:
        return make_result(started, Try(error_class=code))

    def record(self, ended: Sequence[DeliveryResult]) -> None:
        record_deliveries(ended)

    def renew(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        return Look(renew_deliveries(refs, worker_id=worker_id, lease_seconds=self._lease_seconds))

    def look(self, refs: Sequence[Ref], *, worker_id: UUID) -> None:
        return None

    def release(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        return release_deliveries(refs, worker_id=worker_id)


def _or_release(prepare: Callable[[], list[S]], release: Callable[[], object]) -> list[S]:
    """What was started and cannot be prepared goes back at once, and not when its lease ends."""
    try:
        return prepare()
    except Exception:
        release()
        raise


def _job_ref(job: StartedJob) -> Ref:
    return Ref(job.tenant_id, job.job_id, job.epoch)


def _look(refs: Sequence[Ref], *, kept: Collection[tuple[UUID, int]], cancelled: Collection[tuple[UUID, int]]) -> Look:
    return Look(
        kept=frozenset(ref for ref in refs if (ref.id, ref.epoch) in kept),
        cancelled=frozenset(ref for ref in refs if (ref.id, ref.epoch) in cancelled),
    )
