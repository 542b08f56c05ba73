"""Who an account is and of which tenants it is a member, as it is now: read anew for every request of a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from jobservice.statements import run_statement

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class Membership:
    """An active member's place in one tenant."""

    member_id: UUID
    tenant_id: UUID
    tenant_name: str
    tenant_status: str
    require_mfa: bool
    role: str
    may_read_payloads: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """An account with all of its memberships, by the tenants' names. `has_factor`: a second one, or a passkey."""

    account_id: UUID
    email: str
    is_staff: bool
    has_factor: bool
    login_epoch: int
    memberships: tuple[Membership, ...]

    def in_tenant(self, tenant_id: UUID) -> Membership | None:
        return next((one for one in self.memberships if one.tenant_id == tenant_id), None)

    def needs_factor(self, membership: Membership | None) -> bool:
        """Whether it must have a second factor, and has none, before it may see anything of the tenant."""
        return not self.has_factor and (self.is_staff or (membership is not None and membership.require_mfa))


def read_standing(account_id: UUID) -> Standing | None:
    """None for an account that there is not."""
    rows = run_statement(_SQL / "read_standing.sql", {"account": account_id})
    if not rows:
        return None
    memberships = tuple(
        Membership(
            member_id=row.member_id,
            tenant_id=row.tenant_id,
            tenant_name=row.tenant_name,
            tenant_status=row.tenant_status,
            require_mfa=row.require_mfa,
            role=row.role,
            may_read_payloads=row.may_read_payloads,
        )
        for row in rows
        if row.member_id is not None
    )
    return Standing(account_id, rows[0].email, rows[0].is_staff, rows[0].has_factor, rows[0].login_epoch, memberships)
