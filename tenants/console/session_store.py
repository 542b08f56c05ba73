"""Sessions of the console, kept in `login_session` under the hash of the cookie's text.

A session ends when nobody used it for the idle time, at its absolute age, and whenever its row is gone. The database's
clock decides. The engine of Django's session middleware (`SESSION_ENGINE`).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db.models.functions import Now

from tenants.models import LoginSession

# Written at most so often, so that to look at a page seldom writes.
TOUCH_SECONDS = 60
# Somebody on the way to log in has so long for it.
ANONYMOUS_SECONDS = 900
_KEY_BYTES = 32
_LONGEST_AGENT = 200
ACCOUNT, ADDRESS, AGENT, EPOCH = "account", "address", "agent", "epoch"
# Of the JSON document: the tenant that the session is in, and when, in Unix seconds, who is there was proved last.
TENANT, STEPPED_UP_AT = "tenant", "stepped_up_at"
_OWN_COLUMNS = frozenset({ACCOUNT, ADDRESS, AGENT, EPOCH})


class SessionStore(SessionBase):
    """`account`, `address`, `agent` and `epoch` are columns; all else of a session is its JSON document. The epoch is
    written once, and later only by what raises the account's.
    """

    # Whether somebody asked: what a page asks for by itself is no use of the session.
    is_used = True
    # Whether this request is the first of a minute.
    was_touched = False
    # Ended on purpose, as by a logout, and not only unknown.
    was_ended = False

    def load(self) -> dict[str, Any]:
        row = self._living().first()
        if row is None:
            self._session_key = None
            return {}
        if self.is_used:
            self._touch()
        own = {
            ACCOUNT: row.account_id and str(row.account_id),
            ADDRESS: row.address,
            AGENT: row.user_agent,
            EPOCH: row.login_epoch,
        }
        return {**row.data, **{name: value for name, value in own.items() if value is not None}}

    def create(self) -> None:
        """A new session under a new key. One that was held and is gone stays gone: raises `SessionInterrupted`."""
        if self.session_key is not None:
            raise SessionInterrupted("The session is over.")
        self._session_key = new_session_key()
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        content = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # Django's own, untyped
        account = content.get(ACCOUNT)
        columns = {
            "account_id": UUID(account) if account else None,
            "address": content.get(ADDRESS),
            "user_agent": (content.get(AGENT) or "")[:_LONGEST_AGENT] or None,
            "data": {name: value for name, value in content.items() if name not in _OWN_COLUMNS},
        }
        if must_create:
            seconds = settings.ENVIRONMENT.session_seconds if account else ANONYMOUS_SECONDS
            LoginSession.objects.create(
                key_hash=hash_session_key(self.session_key),
                expires_at=Now() + timedelta(seconds=seconds),
                login_epoch=content.get(EPOCH),
                **columns,
            )
        elif not self._living().update(**columns):
            raise UpdateError
        return None

    def cycle_key(self) -> None:
        """Give it another key; its age stays what it was. Raises `SessionInterrupted` for one that is over."""
        self._get_session()  # type: ignore[attr-defined]
        key = new_session_key()
        if not self._living().update(key_hash=hash_session_key(key)):
            raise SessionInterrupted("The session is over.")
        self._session_key = key
        self.modified = True

    def flush(self) -> None:
        super().flush()
        self.was_ended = True

    def exists(self, session_key: str) -> bool:
        return LoginSession.objects.filter(key_hash=hash_session_key(session_key)).exists()

    def delete(self, session_key: str | None = None) -> None:
        if (key := session_key or self.session_key) is not None:
            LoginSession.objects.filter(key_hash=hash_session_key(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        LoginSession.objects.filter(expires_at__lte=Now()).delete()

    def _living(self) -> Any:
        idle = timedelta(seconds=settings.ENVIRONMENT.session_idle_seconds)
        return LoginSession.objects.filter(
            key_hash=hash_session_key(self.session_key or ""), expires_at__gt=Now(), last_seen_at__gt=Now() - idle
        )

    def _touch(self) -> None:
        stale = LoginSession.objects.filter(
            key_hash=hash_session_key(self.session_key or ""),
            last_seen_at__lt=Now() - timedelta(seconds=TOUCH_SECONDS),
        )
        self.was_touched = stale.update(last_seen_at=Now()) == 1


def new_session_key() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(_KEY_BYTES)


def hash_session_key(key: str) -> str:
    """What is stored of a key. So many random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()
