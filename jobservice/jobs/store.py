"""Store: the jobs of an accept, checked and sealed, in the caller's transaction.

1. Make the queues and lanes of first uses, as far as the quota goes.
2. Take the unique keys of jobs that have one: a job whose key is held is not stored, or its holder is replaced. One job
   alone takes its key in the statement of step 3, and comes by here only when the key turns out not to be free.
3. Share the lanes' locks; insert the jobs, their live rows, their sealed values and their tags; wake lanes that sleep.
4. Count them, last. Those that are beyond a quota of volume undo it all: of a group that is taken job by job the others
   are stored without them, else nothing is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.crash_points import crash_point
from jobservice.errors import JobserviceError, QuotaExceeded, Unavailable
from jobservice.jobs.lanes import erased_is_a_conflict, make_lanes, wake_lanes
from jobservice.jobs.limits import SlotHolder, free_slots
from jobservice.jobs.new_queues import admit_queues
from jobservice.jobs.new_volume import NewJob, NoRoom, count_new
from jobservice.jobs.notifier import wake_dispatcher
from jobservice.jobs.planned_jobs import PlannedJob, insertion_of, seal_again_if_outdated, show_accepted
from jobservice.jobs.unique_claims import QueueMissing
from jobservice.jobs.unique_wishes import TakenKeys, conflicts_of_group
from jobservice.jobs.uniqueness import answer_wishes, take_keys
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.quotas import VolumeLimits

_SQL = Path(__file__).resolve().parent / "sql"
# How often a group is stored anew without those that do not fit: room may go to others meanwhile.
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Room:
    """What the caller may submit to, None for all, and what the tenant may have."""

    queues: Collection[str] | None
    max_queues: int | None
    limits: VolumeLimits


class Refused(JobserviceError):
    """Jobs of an atomic group were refused, so none was stored. `errors` are those of each, none where right."""

    def __init__(self, errors: Sequence[Sequence[JobserviceError]]) -> None:
        super().__init__("Some of the jobs were refused; none was stored.")
        self.errors = errors


def store_jobs(
    tenant_id: UUID, plans: Sequence[PlannedJob], room: Room, *, is_atomic: bool
) -> list[dict[str, Any] | JobserviceError]:
    """Per job its answer as the API shows it, or what keeps it out: its queue, its unique key, or a quota of volume.

    Raises `Refused` when the group is atomic and any is kept out, and `Unavailable`.
    """
    if is_atomic:
        try:
            return _store(tenant_id, plans, room, is_atomic=True)
        except NoRoom as full:
            raise Refused([[full.refused[plan.id]] if plan.id in full.refused else [] for plan in plans]) from None
    refused: dict[UUID, QuotaExceeded] = {}
    for _ in range(_TRIES):
        left = [plan for plan in plans if plan.id not in refused]
        try:
            # What does not fit is found when all are stored: then it is undone, but for the tenant's transaction.
            with transaction.atomic():
                stored = iter(_store(tenant_id, left, room, is_atomic=False))
            return [refused.get(plan.id) or next(stored) for plan in plans]
        except NoRoom as full:
            refused |= _with_their_twins(left, full.refused)
    raise Unavailable("The room within the quota changes too fast just now; try again.")


def _with_their_twins(plans: Sequence[PlannedJob], refused: Mapping[UUID, QuotaExceeded]) -> dict[UUID, QuotaExceeded]:
    """And those that would take the place of a refused one, for they have its unique key: they fit no better."""
    found = dict(refused)
    hashes: dict[bytes, QuotaExceeded] = {}
    for plan in plans:
        if plan.id in found and plan.wish is not None:
            hashes.setdefault(plan.wish.hash, found[plan.id])
        elif plan.wish is not None and plan.wish.hash in hashes:
            found[plan.id] = hashes[plan.wish.hash]
    return found


def _store(
    tenant_id: UUID, plans: Sequence[PlannedJob], room: Room, *, is_atomic: bool
) -> list[dict[str, Any] | JobserviceError]:
    """Per job its answer, or what keeps it out: its queue cannot be made, or its unique key is held.

    Raises `Refused` when the group is atomic, and `NoRoom`.
    """
    max_queues = room.max_queues
    if all(plan.wish is None for plan in plans):
        alone = _store_all(tenant_id, plans, is_atomic=is_atomic, max_queues=max_queues)
        _count(tenant_id, _stored_of(plans, alone), room)
        return alone
    if len(plans) == 1 and (first := _store_with_key(tenant_id, plans[0])):
        _count(tenant_id, plans, room)
        return [first]
    refused, keys = _take_keys(tenant_id, plans, room, is_atomic=is_atomic)
    admitted = [plan for plan in plans if plan.options["queue"] not in refused]
    if is_atomic and keys.conflicts:
        raise Refused(conflicts_of_group(keys, [plan.id for plan in admitted]))
    let_in = [plan for plan in admitted if keys.lets_in(plan.id)]
    new = _store_all(tenant_id, let_in, is_atomic=is_atomic, max_queues=max_queues, freed=keys.freed)
    stored = {plan.id: job for plan, job in zip(let_in, new, strict=True) if not isinstance(job, JobserviceError)}
    answers = iter(answer_wishes(tenant_id, keys, stored, [plan.id for plan in admitted]))
    _count(tenant_id, _stored_of(let_in, new), room, replaced=keys.replaced, ended=len(keys.freed))
    return [refused.get(plan.options["queue"]) or next(answers) for plan in plans]


def _store_with_key(tenant_id: UUID, plan: PlannedJob) -> dict[str, Any] | None:
    """Store the job and take its key at once. None, and nothing is done, when it replaces, when there is no lane for it
    yet, or when somebody has a claim on the key."""
    if plan.wish is None or plan.wish.replaces:
        # Whoever replaces locks jobs and keys before he takes any.
        return None
    crash_point("accept.before_insert")
    with erased_is_a_conflict():
        rows = _insert(tenant_id, [plan], takes_key=True)
    return _finish(tenant_id, [plan], rows, freed=())[0] if rows else None


def _take_keys(
    tenant_id: UUID, plans: Sequence[PlannedJob], room: Room, *, is_atomic: bool
) -> tuple[Mapping[str, JobserviceError], TakenKeys]:
    """The queues that cannot be made, and the keys of the jobs in the others: what cannot be stored holds none.

    Raises `Refused` when the group is atomic.
    """
    names = {plan.options["queue"] for plan in plans}
    wishes = [plan.wish for plan in plans if plan.wish is not None]
    # Whoever replaces locks jobs and keys before he takes any, and new queues come before them all.
    if not any(wish.replaces for wish in wishes):
        with suppress(QueueMissing):
            return {}, take_keys(tenant_id, wishes, queues=room.queues, in_queues=names)
    refused = admit_queues(tenant_id, [plan.options["queue"] for plan in plans], max_queues=room.max_queues)
    if refused and is_atomic:
        raise _refuse_queues(plans, refused)
    admitted = [plan.wish for plan in plans if plan.wish is not None and plan.options["queue"] not in refused]
    return refused, take_keys(tenant_id, admitted, queues=room.queues)


def _stored_of(plans: Sequence[PlannedJob], answers: Sequence[dict[str, Any] | JobserviceError]) -> list[PlannedJob]:
    return [plan for plan, answer in zip(plans, answers, strict=True) if not isinstance(answer, JobserviceError)]


def _count(
    tenant_id: UUID, stored: Sequence[PlannedJob], room: Room, *, replaced: Collection[UUID] = (), ended: int = 0
) -> None:
    new = [NewJob(plan.id, plan.stored_bytes, is_over=plan.id in replaced) for plan in stored]
    count_new(tenant_id, new, room.limits, ended=ended)


def _store_all(
    tenant_id: UUID,
    plans: Sequence[PlannedJob],
    *,
    is_atomic: bool,
    max_queues: int | None,
    freed: Sequence[SlotHolder] = (),
) -> list[dict[str, Any] | JobserviceError]:
    """Store the jobs, as far as their queues can be made. `freed` are jobs that were ended for them."""
    if not plans:
        return []
    crash_point("accept.before_insert")
    rows = _insert(tenant_id, plans)
    if rows:
        return [*_finish(tenant_id, plans, rows, freed=freed)]
    refused = admit_queues(tenant_id, [plan.options["queue"] for plan in plans], max_queues=max_queues)
    if refused and is_atomic:
        raise _refuse_queues(plans, refused)
    admitted = [plan for plan in plans if plan.options["queue"] not in refused]
    if not admitted:
        return [refused[plan.options["queue"]] for plan in plans]
    make_lanes(tenant_id, {(plan.options["queue"], plan.type.pool) for plan in admitted})
    stored = iter(_finish(tenant_id, admitted, _insert(tenant_id, admitted), freed=freed))
    return [refused.get(plan.options["queue"]) or next(stored) for plan in plans]


def _refuse_queues(plans: Sequence[PlannedJob], refused: Mapping[str, JobserviceError]) -> Refused:
    return Refused([[refused[queue]] if (queue := plan.options["queue"]) in refused else [] for plan in plans])


def _insert(tenant_id: UUID, plans: Sequence[PlannedJob], *, takes_key: bool = False) -> list[Any]:
    """The rows of the jobs in their order; none, and nothing is stored, while a lane is missing or the key is taken."""
    sealed = [seal_again_if_outdated(tenant_id, plan) for plan in plans]
    parameters = insertion_of(tenant_id, sealed, takes_key=takes_key)
    return run_statement(_SQL / "insert_jobs.sql", parameters)


def _finish(
    tenant_id: UUID, plans: Sequence[PlannedJob], rows: Sequence[Any], *, freed: Sequence[SlotHolder]
) -> list[dict[str, Any]]:
    asleep = {row.lane_id for row in rows if not row.lane_is_active}
    if freed:
        # Both at once, for shares and lanes are locked in one order.
        free_slots(freed, available=asleep)
    else:
        wake_lanes(asleep)
    # On commit, so that the dispatcher finds the jobs when it looks.
    transaction.on_commit(wake_dispatcher)
    transaction.on_commit(partial(_tell_accepted, tenant_id, plans))
    return [show_accepted(plan, row) for plan, row in zip(plans, rows, strict=True)]


def _tell_accepted(tenant_id: UUID, plans: Sequence[PlannedJob]) -> None:
    crash_point("accept.after_commit")
    for plan in plans:
        log_event("job_accepted", tenant_id=tenant_id, job_id=plan.id, executor=plan.type.executor)
