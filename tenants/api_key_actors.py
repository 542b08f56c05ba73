"""Who may make, rotate and end API keys of a tenant: a key, or a member by their role. Both within what they may do
themselves, or a key would be the way around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from tenants.api_key_rights import KeyRights
from tenants.models import Member, Tenant
from tenants.roles import KEYS, permissions_of, scopes_of


class KeyActor(Protocol):
    """Whoever changes keys of the tenant. `over` says why not any more."""

    @property
    def tenant_id(self) -> UUID: ...

    @property
    def over(self) -> str: ...

    def is_living(self) -> bool:
        """Whether it may act still; in the transaction of the act."""

    def read_quotas(self) -> Mapping[str, int | None]:
        """What the tenant may have; in the transaction of the act."""

    def find_excess(self, rights: KeyRights) -> str | None:
        """A sentence about what a key of these rights could do that the actor may not; None when there is nothing."""

    def find_end_excess(self, scopes: frozenset[str]) -> str | None:
        """A sentence about why the actor may not end a key of these scopes; None when they may."""


@dataclass(frozen=True, slots=True)
class MemberOfKeys:
    """A member as they were admitted: with this role and permission, which they have still when the act is done.

    They may end any key: to take a key away gives nobody anything.
    """

    tenant_id: UUID
    member_id: UUID
    role: str
    may_read_payloads: bool

    @property
    def over(self) -> str:
        return "Your role in this tenant has changed. Load the page again."

    @property
    def grantable(self) -> frozenset[str]:
        """The scopes that the member may give to a key."""
        return scopes_of(permissions_of(self.role, may_read_payloads=self.may_read_payloads))

    def is_living(self) -> bool:
        """Locks the member's row, so that who is removed meanwhile has made no key after it. After the lock of the
        tenant's keys; a change of members takes no lock of keys.
        """
        rows = Member.objects.select_for_update(no_key=True).filter(tenant_id=self.tenant_id, id=self.member_id)
        same = rows.filter(status="active", role=self.role, may_read_payloads=self.may_read_payloads)
        return same.first() is not None and KEYS in permissions_of(self.role, may_read_payloads=self.may_read_payloads)

    def read_quotas(self) -> Mapping[str, int | None]:
        quotas: Mapping[str, int | None] = Tenant.objects.values_list("quotas", flat=True).get(id=self.tenant_id)
        return quotas

    def find_excess(self, rights: KeyRights) -> str | None:
        missing = sorted(rights.scopes - self.grantable)
        return _too_far(missing) if missing else None

    def find_end_excess(self, scopes: frozenset[str]) -> str | None:
        return None


def _too_far(missing: Iterable[str]) -> str:
    return f"Nobody gives a key what they may not do themselves; you may not give it {' and '.join(missing)}."
