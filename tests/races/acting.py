"""What races of a job's life say often: an act as a role, whether it was refused, a job that is held, and its ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import connection, connections

from jobservice.database import connect_alone
from jobservice.errors import Conflict, NotFound
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.states import FINAL_STATES
from jobservice.webhooks.models import Event
from tests.roles import as_role, set_role


def acting(role: str, call: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """The call as another role than its neighbours'."""

    def act() -> Any:
        set_role(role)
        return call(*arguments)

    return act


def working(role: str, call: Callable[[], None], *, over: threading.Event) -> Callable[[], None]:
    """The call as a process of this role that works until `over`; one that breaks ends the work of all."""

    def work() -> None:
        try:
            with as_role(role):
                call()
        except BaseException:
            over.set()
            raise
        finally:
            connections.close_all()

    return work


def asking(call: Callable[..., Any], *arguments: Any) -> Callable[[], type[Exception] | None]:
    """The call as a client's: answers with how it was refused, None when it was done."""

    def act() -> type[Exception] | None:
        set_role("web")
        try:
            call(*arguments)
        except (Conflict, NotFound) as refusal:
            return type(refusal)
        return None

    return act


@contextmanager
def holding(job_id: UUID) -> Iterator[Callable[[], bool]]:
    """The job is locked by another connection until the end of the block; answers whether somebody waits for it."""
    with connect_alone() as holder, holder.transaction():
        assert holder.execute("SELECT FROM job_live WHERE job_id = %s FOR UPDATE", [job_id]).rowcount == 1

        def is_waited_for() -> bool:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid)))",
                    [holder.info.backend_pid],
                )
                return bool(cursor.fetchone()[0])

        yield is_waited_for


def told(job_id: UUID) -> list[str]:
    """The types of the job's events, in their order."""
    return list(Event.objects.filter(job_id=job_id).order_by("at", "id").values_list("type", flat=True))


def state_after(job_id: UUID) -> str:
    """The job's state, once it is seen that it is either live or over, and that its last end is told."""
    job, live = Job.objects.get(id=job_id), LiveJob.objects.filter(job_id=job_id).first()
    assert (live is None) == (job.final_state is not None) == (job.end_event_id is not None)
    if live is not None:
        return live.state
    assert job.final_state is not None
    assert job.end_event_id is not None
    assert Event.objects.get(id=job.end_event_id).type == f"job.{job.final_state}"
    return job.final_state


def ends_of(job_id: UUID) -> int:
    """How many ends of the job are told."""
    return sum(type_.removeprefix("job.") in FINAL_STATES for type_ in told(job_id))
