"""The wall between tenants: every read and write happens in a transaction that says for whom it is.

`SET LOCAL` only, so nothing outlives the transaction on a pooled connection; row-level security reads the setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"

_current: ContextVar[UUID | None] = ContextVar("current_tenant", default=None)


class TenantMismatch(RuntimeError):
    """Code asked for another tenant inside one tenant's transaction: always a fault of ours."""


@contextmanager
def tenant_tx(tenant_id: UUID) -> Iterator[None]:
    """A transaction that sees and writes this tenant's rows only; inside one of the same tenant, part of that one."""
    outer = _current.get()
    if outer is not None and outer != tenant_id:
        raise TenantMismatch("a transaction of one tenant cannot turn to another")
    if outer is not None:
        # No savepoint: what fails inside fails the whole, so that nothing is half done.
        yield
        return
    token = _current.set(tenant_id)
    try:
        with transaction.atomic():
            set_local("app.tenant", str(tenant_id))
            yield
    finally:
        _current.reset(token)


@contextmanager
def tenants_tx(tenant_ids: Iterable[UUID]) -> Iterator[None]:
    """A worker's transaction over the tenants of one message: its grouped statements span them and no others."""
    if _current.get() is not None:
        raise TenantMismatch("a transaction of one tenant cannot turn to many")
    with transaction.atomic():
        tenants = ",".join(sorted({str(tenant_id) for tenant_id in tenant_ids}))
        run_statement(_SQL / "open_tenants.sql", {"tenants": tenants})
        yield


@contextmanager
def own_role_tx(tenant_id: UUID) -> Iterator[None]:
    """A transaction in which this process's role, whichever it is, sees the tenant; within a running one, that one."""
    if connection.in_atomic_block:
        yield
        return
    with process_tx(tenant_id):
        yield


def process_tx(tenant_id: UUID) -> AbstractContextManager[None]:
    """A transaction of this tenant as this process's role opens it, for what more than one role does."""
    return tenants_tx([tenant_id]) if settings.ENVIRONMENT.process == "worker" else tenant_tx(tenant_id)


def set_local(name: str, value: str) -> None:
    """Set a custom setting until the end of the current transaction."""
    run_statement(_SQL / "set_local.sql", {"name": name, "value": value})
