"""What becomes of jobs that would hold unique keys, decided without a database: who is stored, answered with another,
refused or replaced. The reasons are in `uniqueness.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from jobservice.errors import JobserviceError
from jobservice.jobs.unique_claims import Holder, UniqueConflict
from jobservice.jobs.unique_option import UniqueOption


@dataclass(frozen=True, slots=True)
class Wish:
    """A job, not stored yet, that would hold the key of this hash."""

    job_id: UUID
    hash: bytes = field(repr=False)
    option: UniqueOption

    @property
    def replaces(self) -> bool:
        return self.option.on_conflict == "replace"


@dataclass(slots=True)
class TakenKeys:
    """What became of the wishes of one request, by the ids of their jobs; whoever is no duplicate and no conflict is
    stored.

    `replaced` gave their key to a later one: jobs from before, or of this very request. `holding` has the others that
    took theirs. `shown` are the jobs from before that duplicates are answered with. `freed` are the ended ones, whose
    slots whoever stores the jobs frees with his own locks.
    """

    duplicates: dict[UUID, UUID] = field(default_factory=dict)
    conflicts: dict[UUID, UniqueConflict] = field(default_factory=dict)
    replaced: list[UUID] = field(default_factory=list)
    holding: list[Wish] = field(default_factory=list)
    shown: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    freed: list[Any] = field(default_factory=list)

    def lets_in(self, job_id: UUID) -> bool:
        """Whether the job is to be stored."""
        return job_id not in self.duplicates and job_id not in self.conflicts


def group_by_hash(wishes: Sequence[Wish]) -> dict[bytes, list[Wish]]:
    """The wishes for each key, in the order in which they came."""
    groups: dict[bytes, list[Wish]] = {}
    for wish in wishes:
        groups.setdefault(wish.hash, []).append(wish)
    return groups


def settle_group(
    keys: TakenKeys, group: Sequence[Wish], first: Holder | None, *, is_taken: bool, queues: Collection[str] | None
) -> None:
    """What becomes of the wishes for one key, as if each had come alone, one after the other.

    `first` held it before; `is_taken`: it does not keep it against one that replaces.
    """
    holder_id = None if first is None else first.job_id
    is_seen = first is None or first.is_seen_by(queues)
    current: Wish | None = None
    for wish in group:
        may_take = holder_id is None or (wish.replaces and (current is not None or is_taken))
        if may_take and is_seen:
            if holder_id is not None:
                keys.replaced.append(holder_id)
            holder_id, current = wish.job_id, wish
        elif wish.option.on_conflict == "return" and is_seen and holder_id is not None:
            keys.duplicates[wish.job_id] = holder_id
        else:
            keys.conflicts[wish.job_id] = UniqueConflict(holder_id if is_seen else None)
    if current is not None:
        keys.holding.append(current)


def conflicts_of_group(keys: TakenKeys, asked: Sequence[UUID]) -> list[list[JobserviceError]]:
    """Per job of a group that is stored as a whole or not at all, the conflict that refuses it, if any."""
    new = set(asked)
    found: list[list[JobserviceError]] = []
    for job_id in asked:
        conflict = keys.conflicts.get(job_id)
        if conflict is not None and conflict.holder_id in new:
            # The id of a job that is not stored would name nothing.
            conflict = UniqueConflict(None, holder="An earlier job of the group")
        found.append([] if conflict is None else [conflict])
    return found
