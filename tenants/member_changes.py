"""Changing and removing members, by other members: nobody grants more than they have, or anything to themselves, and a
tenant never loses its last owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from jobservice.errors import Conflict, Fault, Forbidden, Invalid, NotFound, TooManyTries
from jobservice.ids import MEMBER, TENANT, show_id
from jobservice.logs import log_event
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.login_sessions import end_sessions_in_tenant
from tenants.members import NewMember, invite_member
from tenants.models import Member, Tenant
from tenants.roles import ROLES, may_grant
from tenants.second_factors import accounts_with_factors

INVITATIONS_PER_HOUR = 100
_NO_MEMBER = "There is no such member."


@dataclass(frozen=True, slots=True)
class ListedMember:
    """A member as the list shows them; `has_factor` is None for who has not joined yet."""

    id: UUID
    email: str
    role: str
    may_read_payloads: bool
    status: str
    has_factor: bool | None
    last_seen_at: datetime | None
    invitation_expires_at: datetime | None

    @property
    def shown_id(self) -> str:
        return show_id(MEMBER, self.id)


def list_members(tenant_id: UUID) -> list[ListedMember]:
    """All but those who were removed: the joined and the invited, by their addresses."""
    with tenant_tx(tenant_id):
        rows = list(Member.objects.filter(tenant_id=tenant_id).exclude(status="removed").order_by("email"))
    secured = accounts_with_factors([row.account_id for row in rows if row.account_id is not None])
    return [
        ListedMember(
            id=row.id,
            email=row.email,
            role=row.role,
            may_read_payloads=row.may_read_payloads,
            status=row.status,
            has_factor=None if row.account_id is None else row.account_id in secured,
            last_seen_at=row.last_seen_at,
            invitation_expires_at=row.invitation_expires_at,
        )
        for row in rows
    ]


def invite_by_member(tenant_id: UUID, by: UUID, *, email: str, role: str, may_read_payloads: bool) -> NewMember:
    """Let a member invite a person. Raises as `invite_member`, `Forbidden` for more than they may grant, and
    `TooManyTries` when the tenant has invited too many within an hour: invitations are mails to strangers.
    """
    _check_role(role)
    with tenant_tx(tenant_id):
        inviter = _lock_living(tenant_id).get(by)
        _check_grant(inviter, role)
        _check_payloads(inviter, had=False, gets=may_read_payloads)
        _check_pace(tenant_id)
        return invite_member(tenant_id, email=email, role=role, may_read_payloads=may_read_payloads)


def change_member(tenant_id: UUID, member_id: UUID, by: UUID, *, role: str, may_read_payloads: bool) -> None:
    """Give another member this role and permission. Raises `NotFound`, `Forbidden`, `Invalid`, `Conflict`."""
    with tenant_tx(tenant_id):
        living = _lock_living(tenant_id)
        target, changer = _find(living, member_id), living.get(by)
        _check_role(role)
        if member_id == by:
            raise Forbidden("Nobody changes their own role or permissions. Ask another one who may.")
        _check_grant(changer, target.role, role)
        _check_payloads(changer, had=target.may_read_payloads, gets=may_read_payloads)
        if role != "owner":
            _check_last_owner(living.values(), target)
        before = {"role": target.role, "may_read_payloads": target.may_read_payloads}
        after = {"role": role, "may_read_payloads": may_read_payloads}
        if before == after:
            return
        Member.objects.filter(tenant_id=tenant_id, id=member_id).update(**after)
        note_act(tenant_id, "member.role-changed", show_id(MEMBER, member_id), before=before, after=after)


def remove_member(tenant_id: UUID, member_id: UUID, by: UUID) -> None:
    """Remove a member, oneself too, or withdraw an invitation; what sessions they have in the tenant end at once.

    Raises `NotFound`, `Forbidden`, and `Conflict` for the last owner.
    """
    with tenant_tx(tenant_id):
        living = _lock_living(tenant_id)
        target = _find(living, member_id)
        if member_id != by:
            _check_grant(living.get(by), target.role)
        _check_last_owner(living.values(), target)
        Member.objects.filter(tenant_id=tenant_id, id=member_id).update(
            status="removed", invitation_hash=None, invitation_expires_at=None
        )
        if target.account_id is not None:
            end_sessions_in_tenant(target.account_id, tenant_id)
        note_act(tenant_id, "member.removed", show_id(MEMBER, member_id), before=target)


def require_second_factor(tenant_id: UUID, *, is_required: bool) -> None:
    """Whether the tenant's members need a second factor before they see anything of it."""
    with tenant_tx(tenant_id):
        before = Tenant.objects.values("require_mfa").get(id=tenant_id)
        # Guarded by what it was: of two at once, one is written down.
        if Tenant.objects.filter(id=tenant_id, require_mfa=not is_required).update(require_mfa=is_required):
            after = {"require_mfa": is_required}
            note_act(tenant_id, "tenant.login-rule-updated", show_id(TENANT, tenant_id), before=before, after=after)


def _lock_living(tenant_id: UUID) -> dict[UUID, Member]:
    """The tenant's members and invited people, locked in the order of their ids: changes at once follow one another,
    so that two owners cannot remove each other.
    """
    rows = Member.objects.select_for_update(no_key=True).filter(tenant_id=tenant_id).exclude(status="removed")
    return {row.id: row for row in rows.order_by("id")}


def _check_pace(tenant_id: UUID) -> None:
    """Exact, as the members are locked. Those who were removed count too."""
    latest = Member.objects.filter(tenant_id=tenant_id).order_by("-created_at").values_list("created_at", flat=True)
    oldest = latest[INVITATIONS_PER_HOUR - 1 : INVITATIONS_PER_HOUR].first()
    retry_seconds = 0 if oldest is None else 3600 - int((timezone.now() - oldest).total_seconds())
    if retry_seconds > 0:
        log_event("invitations_limited", level="warning", tenant_id=tenant_id)
        raise TooManyTries(
            f"At most {INVITATIONS_PER_HOUR} people are invited to a tenant in an hour. Invite them later.",
            retry_seconds=retry_seconds,
        )


def _find(living: Mapping[UUID, Member], member_id: UUID) -> Member:
    if member_id not in living:
        raise NotFound(_NO_MEMBER)
    return living[member_id]


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Invalid([Fault("/role", "bad-format", f"A role is {', '.join(ROLES)}; not {role[:20]!r}.")])


def _check_grant(grantor: Member | None, *roles: str) -> None:
    is_able = grantor is not None and grantor.status == "active"
    if grantor is None or not is_able or not all(may_grant(grantor.role, role) for role in roles):
        raise Forbidden("Your role does not reach that far: nobody gives or takes a role above their own.")


def _check_payloads(grantor: Member | None, *, had: bool, gets: bool) -> None:
    if gets and not had and grantor is not None and not (grantor.may_read_payloads or grantor.role == "owner"):
        raise Forbidden("Who may not see payloads, and is no owner, lets nobody else see them.")


def _check_last_owner(living: Iterable[Member], target: Member) -> None:
    owners = [one.id for one in living if one.role == "owner" and one.status == "active"]
    if owners == [target.id]:
        raise Conflict("A tenant keeps its last owner. Make somebody else an owner first.")
