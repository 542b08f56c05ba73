"""The seeds of second factors as they are stored: sealed under the login key, each for one account and one kind.

A sealed seed opens for that account only: whoever can write to the table, and has a factor of their own, cannot put
it into the row of somebody else. allauth, which keeps them, hands over the text alone, so whose it is stands around the
call (`seeds_of`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from jobservice.crypto.envelope import Place, TenantKey, open_sealed, seal
from tenants.installation_key import NO_TENANT, VERSION
from tenants.login_key import login_key

# Of one that waits in a session until its app is set up; the other kinds are allauth's types.
SETTING_UP = "totp-setting-up"

_place: ContextVar[Place] = ContextVar("place of seeds")


@contextmanager
def seeds_of(account_id: UUID, kind: str) -> Iterator[None]:
    """What is sealed and opened in the block is a seed of this account and kind."""
    token = _place.set(Place(NO_TENANT, "mfa_authenticator", kind, account_id, content_type="text/plain"))
    try:
        yield
    finally:
        _place.reset(token)


def seal_seed(text: str) -> str:
    """A seed as it is stored. In `seeds_of`; a `LookupError` outside of it is a fault of ours."""
    return base64.b64encode(seal(text.encode(), key=TenantKey(VERSION, login_key()), place=_place.get())).decode()


def open_seed(sealed: str) -> str:
    """The seed again. In `seeds_of`. Raises `Unreadable`."""
    blob = base64.b64decode(sealed)
    return open_sealed(blob, keys={VERSION: TenantKey(VERSION, login_key())}, place=_place.get()).decode()
