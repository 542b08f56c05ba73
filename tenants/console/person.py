"""Who uses a tenant's console: what the gate (access.py) found out, for pages, templates and the tenant's log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from tenants.console.session_store import STEPPED_UP_AT
from tenants.console.visits import Visit
from tenants.members import note_seen
from tenants.roles import permissions_of
from tenants.standing import Membership, Standing

# A proof of who is there is fresh for so long.
STEP_UP_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Person:
    """Who uses a tenant's console, as a member of it."""

    account_id: UUID
    member_id: UUID
    tenant_id: UUID
    tenant_name: str
    email: str
    role: str
    may_read_payloads: bool
    is_staff: bool
    # An operator who looks at the tenant and is no member; None for members.
    visit: Visit | None = None

    def may(self, permission: str) -> bool:
        return permission in permissions_of(self.role, may_read_payloads=self.may_read_payloads)

    @property
    def permissions(self) -> frozenset[str]:
        """For templates: `{% if "keys" in person.permissions %}`."""
        return permissions_of(self.role, may_read_payloads=self.may_read_payloads)


def know_person(request: HttpRequest, standing: Standing, membership: Membership, visit: Visit | None = None) -> None:
    """Put the person on the request, and note that the member was seen; a visitor is none."""
    request.standing = standing  # type: ignore[attr-defined]  # of a visitor to a page of everybody's nobody asked
    request.person = Person(  # type: ignore[attr-defined]
        account_id=standing.account_id,
        member_id=membership.member_id,
        tenant_id=membership.tenant_id,
        tenant_name=membership.tenant_name,
        email=standing.email,
        role=membership.role,
        may_read_payloads=membership.may_read_payloads,
        is_staff=standing.is_staff,
        visit=visit,
    )
    if visit is None and request.session.was_touched:  # type: ignore[attr-defined]  # our own store
        note_seen(membership.tenant_id, membership.member_id)


def show_person(request: HttpRequest) -> dict[str, Any]:
    """For templates: `person`, or None where nobody is in a tenant. A context processor."""
    return {"person": getattr(request, "person", None), "standing": getattr(request, "standing", None)}


def is_stepped_up(request: HttpRequest) -> bool:
    """Whether the session holds a fresh proof."""
    return 0 <= time.time() - float(request.session.get(STEPPED_UP_AT) or 0) <= STEP_UP_SECONDS
