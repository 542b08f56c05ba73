"""The second factors of an account: a code by time (TOTP), passkeys, and recovery codes for when those are lost.

The table and the codes are allauth's; seeds are sealed by its adapter (`console/mfa_adapter.py`), for
one account and kind each. Every change ends the
account's other sessions. The ceremonies of passkeys need a request: see `console/passkeys.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.db import transaction
from django.utils.crypto import constant_time_compare

from jobservice.errors import Conflict, Fault, Invalid, NotFound
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.login_sessions import end_sessions
from tenants.models import Account
from tenants.seeds import seeds_of

_SQL = Path(__file__).resolve().parent / "sql"
TOTP_KIND, PASSKEY, RECOVERY = "totp", "webauthn", "recovery_codes"
# Recovery codes alone are no second factor.
FACTORS = (TOTP_KIND, PASSKEY)
MOST_PASSKEYS = 20


def accounts_with_factors(account_ids: Collection[UUID]) -> set[UUID]:
    """Which of the accounts have a second factor."""
    found = Authenticator.objects.filter(user_id__in=account_ids, type__in=FACTORS)
    return set(found.values_list("user_id", flat=True))


def list_factors(account_id: UUID) -> list[Authenticator]:
    """All but recovery codes, the oldest first."""
    return list(Authenticator.objects.filter(user_id=account_id, type__in=FACTORS).order_by("id"))


def count_recovery_codes(account_id: UUID) -> int:
    """How many are left."""
    codes = Authenticator.objects.filter(user_id=account_id, type=RECOVERY).first()
    with seeds_of(account_id, RECOVERY):
        return 0 if codes is None else len(RecoveryCodes(codes).get_unused_codes())


def verify_code(account_id: UUID, code: str) -> str | None:
    """The kind of factor that this is a code of, now spent: `totp` or `recovery_codes`; None for a wrong one."""
    digits = "".join(code.split())
    if not digits.isascii() or not digits.isdigit():
        return None
    for one in Authenticator.objects.filter(user_id=account_id, type__in=(TOTP_KIND, RECOVERY)).order_by("-type"):
        with seeds_of(account_id, one.type):
            if one.type == TOTP_KIND and _spend_totp(one, digits):
                return TOTP_KIND
            # A row lock of its own keeps one code from being taken twice.
            if one.type == RECOVERY and RecoveryCodes(one).validate_code(digits):
                log_event("recovery_code_used", level="warning", account_id=account_id)
                return RECOVERY
    return None


def add_totp(
    account_id: UUID, secret: str, code: str, *, kept_session: str | None, epoch: int | None = None
) -> list[str]:
    """Keep this seed, once a code shows that the person has it; the recovery codes, when these are the first.

    `epoch`, here and below: the account's login epoch when it was proved who asks. Raises `Conflict` when that is over,
    or when there is a seed already, and `Invalid` for a wrong code.
    """
    counter = _counter_of(secret, "".join(code.split()))
    if counter is None:
        raise Invalid([Fault("/code", "bad-format", "The code is wrong, or too old. Type the one that is shown now.")])
    with transaction.atomic():
        account = _lock(account_id, epoch)
        if Authenticator.objects.filter(user_id=account_id, type=TOTP_KIND).exists():
            raise Conflict("There is an authenticator app already; remove it first.")
        with seeds_of(account_id, TOTP_KIND):
            instance = TOTP.activate(account, secret).instance
        run_statement(_SQL / "use_totp_counter.sql", {"id": instance.id, "counter": counter})
        return _note_added(account, TOTP_KIND, kept_session)


def add_passkey(
    account_id: UUID,
    name: str,
    credential: dict[str, object],
    *,
    kept_session: str | None,
    epoch: int | None = None,
) -> list[str]:
    """Keep a passkey whose ceremony is complete; the recovery codes, when these are the first.

    Raises `Conflict` for one too many: each login with one reads them all.
    """
    with transaction.atomic():
        account = _lock(account_id, epoch)
        if Authenticator.objects.filter(user_id=account_id, type=PASSKEY).count() >= MOST_PASSKEYS:
            raise Conflict(f"An account has at most {MOST_PASSKEYS} passkeys: remove one first.")
        Authenticator.objects.create(user=account, type=PASSKEY, data={"name": name, "credential": credential})
        return _note_added(account, PASSKEY, kept_session)


def remove_factor(
    account_id: UUID, factor_id: int, *, is_required: bool, kept_session: str | None, epoch: int | None = None
) -> None:
    """Remove a factor; recovery codes go with the last one. Raises `NotFound`, and `Conflict` for a last one that the
    account must have.
    """
    with transaction.atomic():
        _lock(account_id, epoch)
        factors = Authenticator.objects.filter(user_id=account_id, type__in=FACTORS)
        if (factor := factors.filter(id=factor_id).first()) is None:
            raise NotFound("There is no such factor.")
        is_last = factors.count() == 1
        if is_last and is_required:
            raise Conflict("You must have a second factor: add another one first.")
        factor.delete()
        if is_last:
            Authenticator.objects.filter(user_id=account_id).delete()
        end_sessions(account_id, kept=kept_session)
    log_event("factor_removed", account_id=account_id, kind=factor.type)


def remove_all_factors(account_id: UUID) -> int:
    """Remove every factor and session of the account, for a person who lost them; how many there were."""
    with transaction.atomic():
        _lock(account_id)
        removed: int = Authenticator.objects.filter(user_id=account_id).delete()[0]
        end_sessions(account_id)
    log_event("factors_removed", level="warning", account_id=account_id, count=removed)
    return removed


def renew_recovery_codes(account_id: UUID, *, kept_session: str | None, epoch: int | None = None) -> list[str]:
    """Other recovery codes in place of those before. Raises `Conflict` for an account without a second factor."""
    with transaction.atomic():
        account = _lock(account_id, epoch)
        if not Authenticator.objects.filter(user_id=account_id, type__in=FACTORS).exists():
            raise Conflict("Recovery codes are for who has a second factor: add one first.")
        Authenticator.objects.filter(user_id=account_id, type=RECOVERY).delete()
        codes = _make_recovery_codes(account)
        end_sessions(account_id, kept=kept_session)
    log_event("recovery_codes_renewed", account_id=account_id)
    return codes


def _note_added(account: Account, kind: str, kept_session: str | None) -> list[str]:
    codes: list[str] = []
    if not Authenticator.objects.filter(user_id=account.id, type=RECOVERY).exists():
        codes = _make_recovery_codes(account)
    end_sessions(account.id, kept=kept_session)
    log_event("factor_added", account_id=account.id, kind=kind)
    return codes


def _make_recovery_codes(account: Account) -> list[str]:
    with seeds_of(account.id, RECOVERY):
        codes: list[str] = RecoveryCodes.activate(account).get_unused_codes()
    return codes


def _lock(account_id: UUID, epoch: int | None = None) -> Account:
    """Changes of one account's factors follow one another. Whoever waits here for what ends their session is over then:
    nobody who was shut out leaves a factor behind.
    """
    account = Account.objects.select_for_update(no_key=True).get(id=account_id)
    if epoch is not None and account.login_epoch != epoch:
        raise Conflict("The password or a second factor was changed meanwhile; log in anew.")
    return account


def _spend_totp(instance: Authenticator, digits: str) -> bool:
    counter = _counter_of(decrypt(instance.data["secret"]), digits)
    if counter is None:
        return False
    # By compare-and-set in the database: allauth remembers spent codes in each process for itself.
    return bool(run_statement(_SQL / "use_totp_counter.sql", {"id": instance.id, "counter": counter}))


def _counter_of(secret: str, digits: str) -> int | None:
    """The period whose code it is, of those that are good now."""
    for counter in yield_hotp_counters_from_time():
        if constant_time_compare(format_hotp_value(hotp_value(secret, counter)), digits):
            return int(counter)
    return None
