"""What the two pools of the egress process do: http jobs and webhook deliveries, each as one `Work`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from jobservice.crypto.message_mac import Ref
from jobservice.egress.client import EgressClient
from jobservice.ids import new_id
from jobservice.jobs.handover import Handover, hand_over_runs
from jobservice.jobs.leases import release_jobs, renew_leases, start_jobs
from jobservice.jobs.outcomes import Outcome, StartedJob, Verdict
from jobservice.jobs.record import record_outcomes
from jobservice.jobs.type_switch import disable_type
from jobservice.webhooks.deliveries import release_deliveries, renew_deliveries, start_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from tenants.data_keys import are_keys_at_hand
from workers.executors.deliveries import DeliveryRun, Try, make_result, prepare_deliveries, run_delivery
from workers.executors.http import (
    AWAY_SECONDS,
    Gone,
    Held,
    HttpEnd,
    HttpRun,
    LeftRun,
    end_run,
    prepare_http_jobs,
    run_http_job,
)
from workers.executors.verdicts import fail
from workers.held_jobs import look_at_held

S = TypeVar("S")
E = TypeVar("E")

_GONE_REASON = "Its endpoint answered with status 410, Gone."
_SENTENCES = {
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
        """Write the ends. Raises what `is_database_away` knows while the database is."""

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
        held = [_job_ref(run.job) for run in runs if isinstance(run.call, Held)]
        if held:
            release_jobs(held, worker_id=worker_id, hold_reason="type-disabled")
        return [(_job_ref(run.job), run) for run in runs if not isinstance(run.call, Held)]

    async def send(self, started: HttpRun) -> HttpEnd:
        return await run_http_job(started, self._client)

    def end_without_answer(self, started: HttpRun, code: str) -> Outcome:
        verdict = Verdict("cancelled") if code == "cancelled" else fail(code, _SENTENCES[code])
        return end_run(started, verdict)

    def record(self, ended: Sequence[HttpEnd]) -> None:
        # The outcomes last: while the database is away all of it is repeated, and only theirs count when they are late.
        _hand_over([end for end in ended if isinstance(end, LeftRun)])
        _disable_types([end for end in ended if isinstance(end, Gone)])
        record_outcomes(
            [end.outcome if isinstance(end, Gone) else end for end in ended if not isinstance(end, LeftRun)]
        )

    def renew(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        renewal = renew_leases(refs, worker_id=worker_id, lease_seconds=self._lease_seconds)
        return _look(refs, kept=renewal.kept, cancelled=renewal.cancelled)

    def look(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        held = look_at_held(refs, worker_id=worker_id)
        return _look(refs, kept=held.kept, cancelled=held.cancelled)

    def release(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        return release_jobs(refs, worker_id=worker_id)


@dataclass(frozen=True, slots=True)
class Postponed:
    """A delivery that goes back, no try counted: its tenant's keys are out of reach for the moment."""

    ref: Ref
    worker_id: UUID


class Deliveries:
    """Webhook deliveries. Nobody cancels one, so there is nothing to look for between renewals."""

    pool = "deliveries"

    def __init__(self, client: EgressClient, *, lease_seconds: float) -> None:
        self._client = client
        self._lease_seconds = lease_seconds

    def start(self, refs: Sequence[Ref], *, worker_id: UUID) -> list[tuple[Ref, DeliveryRun | Postponed]]:
        deliveries = start_deliveries(refs, worker_id=worker_id, lease_seconds=self._lease_seconds)
        at_hand: set[UUID] = set()

        def prepare() -> list[DeliveryRun]:
            at_hand.update(filter(are_keys_at_hand, {delivery.tenant_id for delivery in deliveries}))
            return prepare_deliveries([delivery for delivery in deliveries if delivery.tenant_id in at_hand])

        runs = _or_release(
            prepare, lambda: release_deliveries([delivery.ref for delivery in deliveries], worker_id=worker_id)
        )
        away = [delivery.ref for delivery in deliveries if delivery.tenant_id not in at_hand]
        return [*((run.delivery.ref, run) for run in runs), *((ref, Postponed(ref, worker_id)) for ref in away)]

    async def send(self, started: DeliveryRun | Postponed) -> DeliveryResult | Postponed:
        if isinstance(started, Postponed):
            await asyncio.sleep(AWAY_SECONDS)
            return started
        return await run_delivery(started, self._client)

    def end_without_answer(self, started: DeliveryRun | Postponed, code: str) -> DeliveryResult | Postponed:
        return started if isinstance(started, Postponed) else make_result(started, Try(error_class=code))

    def record(self, ended: Sequence[DeliveryResult | Postponed]) -> None:
        postponed = [end for end in ended if isinstance(end, Postponed)]
        for worker_id in {end.worker_id for end in postponed}:
            release_deliveries([end.ref for end in postponed if end.worker_id == worker_id], worker_id=worker_id)
        record_deliveries([end for end in ended if isinstance(end, DeliveryResult)])

    def renew(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        return Look(renew_deliveries(refs, worker_id=worker_id, lease_seconds=self._lease_seconds))

    def look(self, refs: Sequence[Ref], *, worker_id: UUID) -> None:
        return None

    def release(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        return release_deliveries(refs, worker_id=worker_id)


def _hand_over(left: Sequence[LeftRun]) -> None:
    now = time.monotonic()
    by_worker: dict[UUID, list[Handover]] = {}
    for run in left:
        by_worker.setdefault(run.worker_id, []).append(Handover(run.job, max(0.0, run.deadline - now)))
    for worker_id, handovers in by_worker.items():
        hand_over_runs(handovers, worker_id=worker_id)


def _disable_types(gone: Sequence[Gone]) -> None:
    """Before the outcome is written, so that no other job of the type begins in between."""
    for tenant_id, name, version in {
        (end.outcome.job.tenant_id, end.outcome.job.type, end.type_version) for end in gone
    }:
        disable_type(tenant_id, name, version=version, reason=_GONE_REASON)


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
