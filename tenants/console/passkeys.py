"""The ceremonies of passkeys (WebAuthn), which allauth and fido2 do; what a browser sends is a stranger's until then.

Every passkey is a discoverable one and verifies its person, so that it is both factors at once and needs no name. The
challenge waits in the session. A browser knows passkeys by the name of the host: `localhost`, or one with TLS, and
never an address such as 127.0.0.1.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from allauth.mfa.webauthn.internal import auth
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from django.core.exceptions import ValidationError

from jobservice.errors import Fault, Invalid
from tenants.models import Account

# What broken or forged responses make the libraries raise.
_REFUSALS = (
    ValidationError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    # Nested too deeply, and a kind of key that is not known.
    RecursionError,
    NotImplementedError,
    struct.error,
    InvalidSignature,
    UnsupportedAlgorithm,
)
_LONGEST_CREDENTIAL = 20_000
# A browser's credential has a handful of objects and lists.
_MOST_NESTED = 100
_WRONG = Invalid([Fault("/credential", "bad-format", "The passkey did not fit, or the page was open for too long.")])


def registration_options(account_id: UUID) -> Any:
    """What the browser is asked to make a passkey of."""
    return _plain(auth.begin_registration(Account.objects.get(id=account_id), passwordless=True))


def complete_registration(text: str) -> dict[str, Any]:
    """The credential to be kept. Raises `Invalid`."""
    with _one_try():
        credential = _parse(text)
        auth.parse_registration_response(credential)
        is_verified = auth.complete_registration(credential).is_user_verified()
    if not is_verified:
        raise _WRONG
    return credential


def authentication_options(account_id: UUID | None) -> Any:
    """What the browser is asked to prove: with a passkey of this account, or with any that it has for us."""
    return _plain(auth.begin_authentication(None if account_id is None else Account.objects.get(id=account_id)))


def complete_authentication(text: str, *, account_id: UUID | None) -> Account:
    """Whose passkey has signed the session's challenge; of this account only, if one is given. Raises `Invalid`."""
    with _one_try():
        credential = _parse(text)
        auth.parse_authentication_response(credential)
        account = (
            auth.extract_user_from_response(credential) if account_id is None else Account.objects.get(id=account_id)
        )
        authenticator = auth.complete_authentication(account, credential)
    authenticator.record_usage()
    found: Account = account
    return found


@contextmanager
def _one_try() -> Iterator[None]:
    """Spends the session's challenge, whatever comes of it. Raises `Invalid`, at once where no challenge waits."""
    if not auth.get_state():
        raise _WRONG
    try:
        yield
    except _REFUSALS:
        raise _WRONG from None
    finally:
        auth.clear_state()


def _parse(text: str) -> dict[str, Any]:
    """Raises `ValueError` for what is no credential, or could not be stored as JSON."""
    if len(text) > _LONGEST_CREDENTIAL or text.count("{") + text.count("[") > _MOST_NESTED:
        raise ValueError
    parsed = json.loads(text)
    plain = json.dumps(parsed, ensure_ascii=False)
    plain.encode()  # no half of a pair of surrogates
    if not isinstance(parsed, dict) or "\\u0000" in plain:
        raise ValueError
    return parsed


def _plain(options: Any) -> Any:
    """fido2's own mappings as plain JSON values."""
    return json.loads(json.dumps(options, default=dict))
