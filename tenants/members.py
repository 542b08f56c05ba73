"""The people of a tenant: invited by the operator or by one another, each with a role."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils.encoding import punycode

from jobservice.database import violated_constraint
from jobservice.errors import Conflict, Fault, Invalid
from jobservice.ids import MEMBER, new_id, show_id
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.invitations import hash_invitation, new_invitation
from tenants.models import Member
from tenants.roles import ROLES
from tenants.tenancy import ERASED_RULE

INVITATION_DAYS = 7
EMAIL_LIMIT = 254


@dataclass(frozen=True, slots=True)
class NewMember:
    """A member just invited. `invitation` is theirs to redeem once, and is not to be had again."""

    member_id: UUID
    email: str
    role: str
    may_read_payloads: bool
    expires_at: datetime
    invitation: str = field(repr=False)


def invite_member(tenant_id: UUID, *, email: str, role: str, may_read_payloads: bool = False) -> NewMember:
    """Invite a person. Raises `Invalid`, and `Conflict` when the tenant has a member of this address."""
    address = normalise_email(email)
    if role not in ROLES:
        raise Invalid([Fault("/role", "bad-format", f"A role is {', '.join(ROLES)}; not {role!r}.")])
    invitation = new_invitation()
    member = Member(
        id=new_id(),
        tenant_id=tenant_id,
        email=address,
        role=role,
        may_read_payloads=may_read_payloads,
        invitation_hash=hash_invitation(invitation),
        invitation_expires_at=Now() + timedelta(days=INVITATION_DAYS),
    )
    try:
        with tenant_tx(tenant_id):
            member.save(force_insert=True)
            member.refresh_from_db(fields=["invitation_expires_at"])
            note_act(tenant_id, "member.invited", show_id(MEMBER, member.id), after=member)
    except IntegrityError as error:
        if violated_constraint(error) == ERASED_RULE:
            raise Conflict("The tenant was erased.") from None
        raise Conflict(f"{address} is a member of the tenant, or invited, already.") from None
    assert member.invitation_expires_at is not None  # noqa: S101 (just written; for the type checker)
    return NewMember(member.id, address, role, may_read_payloads, member.invitation_expires_at, invitation)


def renew_invitation(tenant_id: UUID, *, email: str) -> str | None:
    """Another invitation in place of one that was not redeemed, as long good as a first one; its text.

    None when nobody of this address is invited: then they have joined, or the invitation was withdrawn.
    """
    invitation = new_invitation()
    with tenant_tx(tenant_id):
        invited = Member.objects.filter(tenant_id=tenant_id, email=normalise_email(email), status="invited")
        if not invited.update(
            invitation_hash=hash_invitation(invitation),
            invitation_expires_at=Now() + timedelta(days=INVITATION_DAYS),
        ):
            return None
        member = invited.get()
        note_act(tenant_id, "member.invited", show_id(MEMBER, member.id), after=member)
    return invitation


def note_seen(tenant_id: UUID, member_id: UUID) -> None:
    """Write that the member is in the tenant's console now."""
    with tenant_tx(tenant_id):
        Member.objects.filter(tenant_id=tenant_id, id=member_id).update(last_seen_at=Now())


def note_login(tenant_id: UUID, member_id: UUID) -> None:
    """Write down that the member has come into the tenant's console."""
    with tenant_tx(tenant_id):
        Member.objects.filter(tenant_id=tenant_id, id=member_id).update(last_seen_at=Now())
        note_act(tenant_id, "member.logged-in", show_id(MEMBER, member_id))


def normalise_email(text: str) -> str:
    """The one form in which an address is stored and compared: lower case, its domain in ASCII. Raises `Invalid`."""
    address = text.strip()
    try:
        validate_email(address)
        user, _, domain = address.rpartition("@")
        address = f"{user}@{punycode(domain)}".lower()
    except (ValidationError, UnicodeError):
        address = ""
    if not 0 < len(address) <= EMAIL_LIMIT:
        raise Invalid([Fault("/email", "bad-format", f"{text!r} is not an e-mail address.")])
    return address
