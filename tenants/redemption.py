"""Redeeming an invitation: a new account with a password, or the one that its address has. Once, and audited."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db.models.functions import Now

from jobservice.errors import Conflict, Forbidden
from jobservice.ids import MEMBER, show_id
from jobservice.statements import run_statement
from tenants.accounts import hash_new_password, make_account
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.invitations import hash_invitation
from tenants.models import Account, Member

_SQL = Path(__file__).resolve().parent / "sql"
_SPENT = "This invitation is spent, withdrawn, or its time is over. Ask for another one."


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who is invited where, and as what."""

    member_id: UUID
    tenant_id: UUID
    tenant_name: str
    email: str
    role: str


def find_invitation(text: str) -> Invitation | None:
    """The invitation of this text, while it can be redeemed."""
    rows = run_statement(_SQL / "find_invitation.sql", {"hash": hash_invitation(text)})
    return Invitation(*rows[0]) if rows else None


def redeem_with_password(text: str, password: str) -> UUID:
    """Make the invited person's account and let it join; the account.

    Raises `Invalid` for a bad password, and `Conflict` when the address has an account, or the invitation is spent.
    """
    invitation = _existing(text)
    encoded = hash_new_password(password, email=invitation.email)
    with tenant_tx(invitation.tenant_id):
        account_id = make_account(invitation.email, encoded)
        _join(invitation, text, account_id)
    return account_id


def redeem_as(text: str, account_id: UUID) -> Invitation:
    """Let the account join, if the invitation is for its address. Raises `Forbidden` and `Conflict`."""
    invitation = _existing(text)
    if Account.objects.values_list("email", flat=True).get(id=account_id) != invitation.email:
        raise Forbidden(f"This invitation is for {invitation.email}. Log in with that account.")
    with tenant_tx(invitation.tenant_id):
        _join(invitation, text, account_id)
    return invitation


def _existing(text: str) -> Invitation:
    if (invitation := find_invitation(text)) is None:
        raise Conflict(_SPENT)
    return invitation


def _join(invitation: Invitation, text: str, account_id: UUID) -> None:
    """Guarded by the hash: of two that redeem it at once, the second finds nothing, and its account is not kept."""
    redeemed = Member.objects.filter(
        tenant_id=invitation.tenant_id,
        id=invitation.member_id,
        status="invited",
        invitation_hash=hash_invitation(text),
        invitation_expires_at__gt=Now(),
    ).update(status="active", account_id=account_id, invitation_hash=None, invitation_expires_at=None)
    if not redeemed:
        raise Conflict(_SPENT)
    member = Member.objects.get(tenant_id=invitation.tenant_id, id=invitation.member_id)
    note_act(invitation.tenant_id, "member.joined", show_id(MEMBER, member.id), after=member)
