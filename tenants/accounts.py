"""People's logins: made by an invitation or by the operator, checked, and given another password. No sessions here.

Whether there is an account of an address, nobody learns who has no invitation to it: an unknown one is answered as a
wrong password is, and as slowly.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobservice.errors import Conflict, Fault, Invalid, NotFound
from jobservice.ids import new_id
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.hashing import hashing_slot
from tenants.login_sessions import end_sessions
from tenants.members import normalise_email
from tenants.models import Account
from tenants.passwords import LONGEST_PASSWORD
from tenants.second_factors import remove_all_factors

_SQL = Path(__file__).resolve().parent / "sql"
RESET_PREFIX = "js_reset_"
RESET_SECONDS = 3600
# The login epoch of an account just made.
FIRST_EPOCH = 0


@dataclass(frozen=True, slots=True)
class ResetLink:
    """The right to choose another password, once. `text` is not to be had again."""

    account_id: UUID
    email: str
    expires_at: datetime
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewOperator:
    """An operator just made, and the one way in. `factors`: how many the account had, sets of recovery codes too."""

    link: ResetLink
    is_new: bool
    factors: int


def check_login(email: str, password: str) -> Account | None:
    """The account with this address and password, as it was before that was looked at; None, after the same
    time, when either is wrong.
    """
    account = find_account(email)
    is_plausible = 0 < len(password) <= LONGEST_PASSWORD
    if account is None or not is_plausible:
        with hashing_slot():
            make_password(password[:LONGEST_PASSWORD])  # takes as long as a check
        return None
    with hashing_slot():
        return account if check_password(password, account.password) else None


def is_password_of(account_id: UUID, password: str) -> bool:
    """Whether it is the password of an account that is there."""
    encoded = Account.objects.values_list("password", flat=True).get(id=account_id)
    if not 0 < len(password) <= LONGEST_PASSWORD:
        return False
    with hashing_slot():
        return check_password(password, encoded)


def find_account(email: str) -> Account | None:
    """The account of an address, however it is written."""
    try:
        return Account.objects.filter(email=normalise_email(email)).first()
    except Invalid:
        return None


def hash_new_password(password: str, *, email: str) -> str:
    """What is stored of a password for the account of this address. Not in a transaction, for a hash takes its time.

    Raises `Invalid` for a bad one, and `Unavailable` when too many are hashed.
    """
    check_new_password(password, email=email)
    with hashing_slot():
        return make_password(password)


def make_account(email: str, encoded: str) -> UUID:
    """Make an account with a hashed password, in the caller's transaction. Raises `Conflict` for a second."""
    parameters = {"id": new_id(), "email": email, "password": encoded}
    if not (rows := run_statement(_SQL / "insert_account.sql", parameters)):
        raise Conflict("There is an account of this address already; log in with it.")
    account_id: UUID = rows[0].id
    log_event("account_made", account_id=account_id)
    return account_id


def check_new_password(password: str, *, email: str) -> None:
    """Raises `Invalid` with a sentence for each rule that it breaks."""
    try:
        validate_password(password, user=Account(email=email))
    except ValidationError as error:
        raise Invalid([Fault("/password", "bad-format", sentence) for sentence in error.messages]) from None


def change_password(account_id: UUID, password: str, *, kept_session: str | None, epoch: int | None = None) -> None:
    """Give the account another password; all of its sessions end but the one with this hash.

    `epoch`: the account's login epoch when it was proved who asks. Raises `Invalid`, and `Conflict` when that is over.
    """
    email = Account.objects.values_list("email", flat=True).get(id=account_id)
    encoded = hash_new_password(password, email=email)
    with transaction.atomic():
        asked = Account.objects.filter(id=account_id, **({} if epoch is None else {"login_epoch": epoch}))
        if not asked.update(password=encoded, reset_hash=None, reset_expires_at=None):
            raise Conflict("The password or a second factor was changed meanwhile; log in anew.")
        end_sessions(account_id, kept=kept_session)
    log_event("password_changed", account_id=account_id)


def make_reset_link(account_id: UUID) -> ResetLink:
    """A link for the operator to pass on; an earlier one is good no more. Raises `NotFound`."""
    if (link := _keep_link(Account.objects.filter(id=account_id), is_printed=True)) is None:
        raise NotFound("There is no such account.")
    return link


def make_mailed_link(account_id: UUID) -> ResetLink | None:
    """A link for the account's own mailbox; None while one that an operator printed is good: anybody may ask for a
    mail, and must not take that one away.
    """
    printed = Q(reset_is_printed=True, reset_expires_at__gt=Now())
    return _keep_link(Account.objects.filter(~printed, id=account_id), is_printed=False)


def _keep_link(accounts: QuerySet[Account], *, is_printed: bool) -> ResetLink | None:
    """A link for the one account, unless it is not among these."""
    text = RESET_PREFIX + secrets.token_urlsafe(32)
    expires_at = Now() + timedelta(seconds=RESET_SECONDS)
    changed = accounts.update(reset_hash=_hash(text), reset_expires_at=expires_at, reset_is_printed=is_printed)
    if not changed:
        return None
    account = Account.objects.get(reset_hash=_hash(text))
    assert account.reset_expires_at is not None  # noqa: S101 (just written; for the type checker)
    log_event("password_reset_begun", account_id=account.id)
    return ResetLink(account.id, account.email, account.reset_expires_at, text)


def find_reset(text: str) -> Account | None:
    """The account whose password this link may change, while it may."""
    return Account.objects.filter(reset_hash=_hash(text), reset_expires_at__gt=Now()).first()


def redeem_reset(text: str, password: str) -> None:
    """Spend the link for another password; every session of the account ends.

    Raises `Invalid` for a bad password, and `Conflict` for a link that is spent or over.
    """
    if (account := find_reset(text)) is None:
        raise Conflict("This link is spent, or its time is over. Ask for another one.")
    encoded = hash_new_password(password, email=account.email)
    with transaction.atomic():
        # Guarded by the hash: of two that redeem it at once, the second changes nothing.
        spent = Account.objects.filter(id=account.id, reset_hash=_hash(text), reset_expires_at__gt=Now())
        if not spent.update(password=encoded, reset_hash=None, reset_expires_at=None):
            raise Conflict("This link is spent, or its time is over. Ask for another one.")
        end_sessions(account.id)
    log_event("password_changed", account_id=account.id)


def make_operator(email: str) -> NewOperator:
    """Let the person of this address operate the installation. As the owner.

    That somebody has an account of the address does not show that the address is theirs: where there is no mail, an
    invitation goes to whoever invites. So an account that was there keeps nothing that opens it: no password, factor,
    link or session. Only the link that is made here does.
    """
    address = normalise_email(email)
    with transaction.atomic():
        parameters = {"id": new_id(), "email": address, "password": make_password(None)}
        is_new = bool(run_statement(_SQL / "insert_account.sql", parameters))
        account_id = Account.objects.select_for_update().values_list("id", flat=True).get(email=address)
        factors = 0 if is_new else remove_all_factors(account_id)
        Account.objects.filter(id=account_id).update(password=make_password(None), is_staff=True)
        link = make_reset_link(account_id)
    log_event("account_made_staff", level="warning", account_id=account_id)
    return NewOperator(link, is_new, factors)


def _hash(text: str) -> bytes:
    """So many random bits need no slow hash."""
    return hashlib.sha256(text.encode()).digest()
