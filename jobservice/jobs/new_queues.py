"""How many queues a tenant may have: new ones come one after the other, whether a PUT or a first job makes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from jobservice.errors import QuotaExceeded
from jobservice.jobs.models import Queue
from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"
QUOTA = "queues"


def admit_queues(tenant_id: UUID, names: Iterable[str], *, max_queues: int | None) -> dict[str, QuotaExceeded]:
    """Which of these queues the tenant may not make, and why; the others are there, or there is room for them until
    the end of the transaction. The first named come first.
    """
    wanted = list(dict.fromkeys(names))
    if not _new_of(tenant_id, wanted):
        return {}
    hold_new_queues(tenant_id)
    return find_refused(tenant_id, wanted, max_queues=max_queues)


def hold_new_queues(tenant_id: UUID) -> None:
    """Let nobody else make a queue of the tenant until the end of the transaction."""
    # Before any row of a queue is locked or written by whoever makes one, so that two who do cannot block each other.
    run_statement(_SQL / "lock_queues.sql", {"tenant": tenant_id})


def find_refused(
    tenant_id: UUID, names: Iterable[str], *, max_queues: int | None, pointer: str | None = "/queue"
) -> dict[str, QuotaExceeded]:
    """As `admit_queues`, without keeping the room: for whoever only wants to know, or holds the tenant's queues.

    `pointer` is the field of the request that names the queue.
    """
    new = _new_of(tenant_id, list(dict.fromkeys(names)))
    if not new or max_queues is None:
        return {}
    used = Queue.objects.filter(tenant_id=tenant_id).count()
    room = max(0, max_queues - used)
    refusal = QuotaExceeded(QUOTA, limit=max_queues, used=used + min(room, len(new)), pointer=pointer)
    return dict.fromkeys(new[room:], refusal)


def _new_of(tenant_id: UUID, names: list[str]) -> list[str]:
    known = set(Queue.objects.filter(tenant_id=tenant_id, name__in=names).values_list("name", flat=True))
    return [name for name in names if name not in known]
