"""Retry of a delivery at the tenant's wish: one that waits is due now, one that is over is sent again.

1. Lock out other retries of it, then its job, so that it is not erased meanwhile, then its live row.
2. Unfinished: one that waits or is pending is due now; one that goes out right now, or is held, is refused.
3. Over: it is open again under a new epoch, its tries counted on, its schedule from the beginning.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from jobservice.errors import Conflict
from jobservice.ids import DELIVERY, show_id
from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.delivery_lists import DeliveryView, read_delivery, unknown_delivery
from jobservice.webhooks.models import WebhookEndpoint
from tenants.audit import note_act
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
_REFUSALS = {
    "delivering": "The delivery is on its way right now.",
    "held": "The delivery is held while its endpoint takes none; enable the endpoint, and it goes out.",
}


def retry_delivery(tenant_id: UUID, delivery_id: UUID, *, states: Collection[str] | None = None) -> DeliveryView:
    """Send the delivery now, or again; the delivery as it is then.

    Raises `NotFound`, and `Conflict` when it is on its way or held, when it is in none of these states (None: any will
    do), or when its endpoint is deleted.
    """
    named = {"tenant": tenant_id, "delivery": delivery_id}
    with tenant_tx(tenant_id):
        run_statement(_SQL / "lock_retry.sql", named)
        found = run_statement(_SQL / "read_delivery.sql", named)
        if not found or not _lock_job(tenant_id, found[0].job_id):
            raise unknown_delivery()
        state = _open_state(tenant_id, found[0].endpoint_id)
        live = run_statement(_SQL / "lock_live_delivery.sql", named)
        if states is not None:
            _expect_state(named, states)
        if live:
            _hasten(named, live[0].state)
        else:
            _send_again(named, state, endpoint_id=found[0].endpoint_id)
        view = read_delivery(tenant_id, delivery_id)
        assert view is not None  # noqa: S101 (its job is locked; for the type checker)
        told = partial(log_event, "delivery_retried", tenant_id=tenant_id, delivery_id=delivery_id, job_id=view.job_id)
        transaction.on_commit(told)
        note_act(tenant_id, "delivery.retried", show_id(DELIVERY, delivery_id))
    return view


def _lock_job(tenant_id: UUID, job_id: UUID | None) -> bool:
    """Whether the job is there, and stays; true for what is of no job."""
    return job_id is None or bool(run_statement(_SQL / "lock_told_job.sql", {"tenant": tenant_id, "job": job_id}))


def _open_state(tenant_id: UUID, endpoint_id: UUID | None) -> str:
    """The state of a delivery that is made now. Not locked: what an endpoint becomes meanwhile, the worker sees."""
    if endpoint_id is None:
        return "pending"
    endpoint = WebhookEndpoint.objects.filter(tenant_id=tenant_id, id=endpoint_id).first()
    if endpoint is None:
        raise Conflict("The endpoint of this delivery is deleted.")
    return "pending" if endpoint.status == "enabled" else "held"


def _expect_state(named: dict[str, Any], states: Collection[str]) -> None:
    """Under all locks: what it was when it was found may be long ago."""
    rows = run_statement(_SQL / "read_delivery.sql", named)
    if not rows or rows[0].state not in states:
        raise Conflict(f"The delivery is not {' or '.join(states)} any more.")


def _hasten(named: dict[str, Any], state: str) -> None:
    if state in _REFUSALS:
        raise Conflict(_REFUSALS[state])
    if state in ("waiting", "pending"):
        run_statement(_SQL / "hasten_delivery.sql", named)


def _send_again(named: dict[str, Any], state: str, *, endpoint_id: UUID | None) -> None:
    rows = run_statement(_SQL / "reopen_delivery.sql", named)
    if not rows:
        raise unknown_delivery()
    past = {"epoch": rows[0].epoch, "attempts": rows[0].attempts}
    run_statement(_SQL / "insert_retried_delivery.sql", {**named, **past, "endpoint": endpoint_id, "state": state})
