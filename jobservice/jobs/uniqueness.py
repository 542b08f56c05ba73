"""Unique keys: of the jobs of a tenant that are submitted with the same key, at most one holds it.

Why it is as it is:
- A row of `unique_claim` is the key, and its primary key is the promise: whatever races, one INSERT wins. It is taken
  before the job is stored, in the same transaction, so that nobody ever sees one without the other. A job that comes
  alone and replaces nobody tries first, in the statement that stores it, whether nobody has a claim on its key, which
  is nearly always so; what follows is for all others.
- **unfinished** (the default): held until the job is over; a suspended job holds it. **waiting**: until its first
  start, and not again when it comes back to wait. So nothing that happens to a job later ever takes a key: no
  conflict can hold up the stager, the rescue or a backoff. Only a person's retry of a job that is over takes its key
  again, or is refused.
- A period is counted from the acceptance. A job that ends or starts sooner leaves its claim behind without holding
  it; the claim is free when the database's clock, asked in the statement that takes it, says so. Pruning only tidies
  up.
- Keys are released where jobs end (`ending.py`) and start (`leases.py`), in that transaction: whoever asks meanwhile
  waits for its commit, and then finds the key free or the job still there.
- Nobody waits for a loser: a key that stays with its holder is not locked, only looked at. What is locked, is locked
  in one order, live rows by id, then keys by hash, then lanes, so that nobody waits in a circle. When the holder is
  gone by the time of the second look, the whole is undone to a savepoint and tried again.
- **replace** cancels the holder as a cancel does, under its live row's lock: one that executes keeps the key.
  Replacers of one key queue up behind an advisory lock, so that of fifty at once each replaces the one before.
- The jobs of one request are taken one after another, as if they had come alone in that order: of two with one key
  the first takes it, a later one is answered with it, is refused or replaces it. A replaced one was accepted, and
  ends at once.
- An API key that is limited to queues is not told of a job elsewhere: it gets the conflict without the id, whichever
  of the three it asked for, and replaces nothing there.
- A change of priority or tags leaves the hash as it was submitted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.errors import JobserviceError
from jobservice.jobs.ending import End, end_jobs, tell_ended_without_run
from jobservice.jobs.selectors import show_jobs
from jobservice.jobs.settle import CANCELLED
from jobservice.jobs.states import sources_of
from jobservice.jobs.unique_claims import (
    TRIES,
    Holder,
    Take,
    begin_periods,
    busy,
    find_holders,
    take_claims,
)
from jobservice.jobs.unique_wishes import TakenKeys, Wish, group_by_hash, settle_group
from jobservice.logs import log_event
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
REPLACED = "replaced"
SOURCES = sources_of("replace")


class _Moved(Exception):
    """A key changed hands between two looks."""


def take_keys(
    tenant_id: UUID, wishes: Sequence[Wish], *, queues: Collection[str] | None, in_queues: Collection[str] = ()
) -> TakenKeys:
    """Take the keys that can be taken, and cancel those from before that they are taken from.

    In the transaction that stores the jobs. `queues` are those whose jobs the caller may see, None for all. Raises
    `Unavailable`, and `QueueMissing` when one of `in_queues` is not there, which are for wishes that replace nobody.
    """
    if not wishes:
        return TakenKeys()
    groups = group_by_hash(wishes)
    replacing = [hashed for hashed, group in groups.items() if any(wish.replaces for wish in group)]
    if replacing:
        locks = [int.from_bytes(hashed[:8], signed=True) for hashed in replacing]
        run_statement(_SQL / "lock_unique_keys.sql", {"locks": locks})
    # One key that nobody is replaced for holds nothing when it was not taken: no savepoint is needed.
    is_simple = len(groups) == 1 and not replacing
    for _ in range(TRIES):
        try:
            with nullcontext() if is_simple else transaction.atomic():
                return _take(tenant_id, groups, replacing=replacing, queues=queues, in_queues=in_queues)
        except _Moved:
            continue
    raise busy()


def answer_wishes(
    tenant_id: UUID, keys: TakenKeys, stored: Mapping[UUID, dict[str, Any]], asked: Sequence[UUID]
) -> list[dict[str, Any] | JobserviceError]:
    """The answer to each job that was asked for, in order, once those that are let in are `stored`.

    Begins their periods, and ends those of them that a later one replaced.
    """
    begin_periods(
        tenant_id,
        {
            wish.hash: (wish.job_id, wish.option.period_seconds)
            for wish in keys.holding
            if wish.option.period_seconds is not None
        },
    )
    outdone = [job_id for job_id in keys.replaced if job_id in stored]
    _end_replaced(tenant_id, dict.fromkeys(outdone, 0))
    if keys.duplicates:
        told = partial(log_event, "jobs_deduplicated", tenant_id=tenant_id, count=len(keys.duplicates))
        transaction.on_commit(told)
    # What was looked at before this request replaced it, as it is now.
    changed = show_jobs(tenant_id, set(keys.replaced) & {*outdone, *keys.duplicates.values()})
    known = {**stored, **keys.shown, **changed}
    return [
        keys.conflicts.get(job_id)
        or ({**known[keys.duplicates[job_id]], "deduplicated": True} if job_id in keys.duplicates else known[job_id])
        for job_id in asked
    ]


def _take(
    tenant_id: UUID,
    groups: Mapping[bytes, Sequence[Wish]],
    *,
    replacing: Collection[bytes],
    queues: Collection[str] | None,
    in_queues: Collection[str],
) -> TakenKeys:
    before = find_holders(tenant_id, replacing)
    seen = {hashed: holder for hashed, holder in before.items() if not holder.is_free and holder.is_seen_by(queues)}
    locked = _lock_live([holder.job_id for holder in seen.values() if holder.is_held], tenant_id)
    sources = {hashed: holder for hashed, holder in seen.items() if _may_be_replaced(holder, locked)}
    takes = [_take_of(group, sources.get(hashed)) for hashed, group in groups.items()]
    taken = take_claims(tenant_id, takes, in_queues=in_queues)
    lost = find_holders(tenant_id, groups.keys() - taken.keys())
    keys = TakenKeys()
    for hashed, group in groups.items():
        row = taken.get(hashed)
        if row is None:
            holder = lost.get(hashed)
            if holder is None or holder.is_free:
                raise _Moved
            if hashed in replacing and holder.is_seen_by(queues) and not _is_the_same(holder, seen, sources, hashed):
                raise _Moved
            settle_group(keys, group, holder, is_taken=False, queues=queues)
        else:
            settle_group(keys, group, None if row.was_free else sources[hashed], is_taken=True, queues=queues)
    keys.freed = _cancel_replaced(tenant_id, [row for row in taken.values() if not row.was_free], locked)
    keys.shown = _show_holders(tenant_id, keys, {wish.job_id for group in groups.values() for wish in group})
    return keys


def _lock_live(job_ids: Sequence[UUID], tenant_id: UUID) -> dict[UUID, Any]:
    if not job_ids:
        return {}
    rows = run_statement(_SQL / "lock_replaced_jobs.sql", {"tenant": tenant_id, "jobs": list(job_ids)})
    return {row.job_id: row for row in rows}


def _may_be_replaced(holder: Holder, locked: Mapping[UUID, Any]) -> bool:
    """It waits, under our lock; or it is over, or only its period goes on."""
    row = locked.get(holder.job_id) if holder.is_held else None
    return row is None or row.state in SOURCES


def _take_of(group: Sequence[Wish], source: Holder | None) -> Take:
    """Who is to have the key in the end: the last that replaces, else the first."""
    wish = next((wish for wish in reversed(group) if wish.replaces), group[0])
    return Take(wish.hash, wish.job_id, wish.option.held_while, None if source is None else source.job_id)


def _is_the_same(holder: Holder, seen: Mapping[bytes, Holder], sources: Mapping[bytes, Holder], hashed: bytes) -> bool:
    """Whether the key stayed with the holder that was seen to run."""
    return hashed in seen and hashed not in sources and seen[hashed].job_id == holder.job_id


def _cancel_replaced(tenant_id: UUID, taken: Sequence[Any], locked: Mapping[UUID, Any]) -> list[Any]:
    """Cancel those that the keys were taken from. Whoever held his no more is left alone."""
    held = [row.from_job for row in taken if row.was_held]
    if not locked.keys() >= set(held):
        # It was retried after the first look.
        raise _Moved
    return _end_replaced(tenant_id, {job_id: locked[job_id].epoch for job_id in held})


def _end_replaced(tenant_id: UUID, epochs: Mapping[UUID, int]) -> list[Any]:
    ends = [End(tenant_id, job_id, epoch, CANCELLED, error_code=REPLACED) for job_id, epoch in epochs.items()]
    ended = end_jobs(ends, sources=SOURCES)
    transaction.on_commit(partial(tell_ended_without_run, ended))
    return ended


def _show_holders(tenant_id: UUID, keys: TakenKeys, new: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """The jobs from before that duplicates are answered with. Raises `_Moved` when one was erased since."""
    wanted = set(keys.duplicates.values()) - set(new)
    shown = show_jobs(tenant_id, wanted)
    if wanted - set(shown):
        raise _Moved
    return shown
