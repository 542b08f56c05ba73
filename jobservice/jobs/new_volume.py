"""Whether there is room for new jobs within a tenant's quotas of volume: all of them, or those of a group that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from jobservice.errors import QuotaExceeded
from jobservice.jobs.usage import Usage, Volume, take_room
from tenants.quotas import VolumeLimits


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that was stored just now. `is_over`: a later one of the same request replaced it."""

    id: UUID
    stored_bytes: int
    is_over: bool = False

    @property
    def volume(self) -> Volume:
        return Volume(0 if self.is_over else 1, self.stored_bytes, 1)


class NoRoom(Exception):
    """The jobs do not all fit. `refused` are those that do not, and why; what was stored must be undone."""

    def __init__(self, refused: dict[UUID, QuotaExceeded]) -> None:
        super().__init__()
        self.refused = refused


def count_new(tenant_id: UUID, jobs: Sequence[NewJob], limits: VolumeLimits, *, ended: int = 0) -> None:
    """Count jobs that were stored just now, in their order; `ended` are those from before that were ended for them.

    The last statement of the caller's transaction that locks anything. Raises `NoRoom`.
    """
    if not jobs:
        return
    freed = Volume(open_jobs=-ended)
    used = take_room(tenant_id, sum((job.volume for job in jobs), freed), limits)
    if used is not None:
        raise NoRoom(_find_refused(jobs, Usage(used.volume + freed, used.day), limits))


def _find_refused(jobs: Sequence[NewJob], used: Usage, limits: VolumeLimits) -> dict[UUID, QuotaExceeded]:
    """Which do not fit, if they had come one after the other."""
    refused = {}
    for job in jobs:
        if refusal := used.find_refusal(job.volume, limits):
            refused[job.id] = refusal
        else:
            used = Usage(used.volume + job.volume, used.day)
    return refused
