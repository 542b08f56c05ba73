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
from jobservice.ids import new_id
from tenants.context import tenant_tx
from tenants.invitations import hash_invitation, new_invitation
from tenants.models import Member
from tenants.tenancy import ERASED_RULE

# From the one who may do everything to the one who may only look.
ROLES = ("owner", "admin", "operator", "viewer")
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
    except IntegrityError as error:
        if violated_constraint(error) == ERASED_RULE:
            raise Conflict("The tenant was erased.") from None
        raise Conflict(f"{address} is a member of the tenant, or invited, already.") from None
    assert member.invitation_expires_at is not None  # noqa: S101 (just written; for the type checker)
    return NewMember(member.id, address, role, may_read_payloads, member.invitation_expires_at, invitation)


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
