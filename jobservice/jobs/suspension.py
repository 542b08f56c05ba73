"""Suspend a tenant, and let it go on: running jobs finish, nothing new is accepted or started in between."""

from __future__ import annotations

from uuid import UUID

from jobservice.ids import TENANT, show_id
from jobservice.jobs.limits import apply_tenant_status, hold_claims
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.tenancy import set_status


def suspend_tenant(tenant_id: UUID, *, reason: str | None = None) -> None:
    """Start nothing more of this tenant: what was handed out and has not begun is taken back.

    `reason` stands in the tenant's log.
    """
    _switch(tenant_id, "suspended", action="tenant.suspended", reason=reason)


def resume_tenant(tenant_id: UUID, *, reason: str | None = None) -> None:
    """Let the tenant go on."""
    _switch(tenant_id, "active", action="tenant.resumed", reason=reason)


def _switch(tenant_id: UUID, status: str, *, action: str, reason: str | None) -> None:
    with tenant_tx(tenant_id):
        hold_claims(tenant_id)
        set_status(tenant_id, status)
        apply_tenant_status(tenant_id)
        note_act(tenant_id, action, show_id(TENANT, tenant_id), after=None if reason is None else {"reason": reason})
