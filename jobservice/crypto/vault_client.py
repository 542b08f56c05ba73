"""Calls to one Transit key of HashiCorp Vault, over the hvac library: login, renewal, and what an error means.

1. The first call logs in: with the token that was given, or by AppRole. A token is renewed when half its time is over.
2. Refused with 403, a call is repeated once, under a token that was read or got anew: the old one ended or was revoked.
3. When Vault does not answer, nobody asks again for `REST_SECONDS`, and then one thread does: an outage must not make
   every request wait for its timeout.
A process that was forked has its own connection: two must not speak over one.
"""

from __future__ import annotations

import math
import os
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

try:
    import hvac
    import requests
    from hvac import exceptions as refusals
except ImportError:
    from jobservice.env import ConfigurationError

    raise ConfigurationError(
        "JOBSERVICE_ROOT_KEY_PROVIDER: vault needs the package hvac, which is not installed; "
        "run `pip install --require-hashes -r requirements-vault.lock`."
    ) from None

from jobservice.errors import KeyProviderAway, Unavailable, Unreadable
from jobservice.key_settings import VaultSettings
from jobservice.logs import log_event

REST_SECONDS = 5.0
_LEAST_RENEWAL_SECONDS = 5.0
# How Vault says that a ciphertext is not what was encrypted with this key and these associated data.
_ALTERED = "message authentication failed"
_TOO_OLD = "too old"
_TOO_NEW = "too new"
_MALFORMED = "invalid ciphertext"

_FAILURES = (refusals.VaultError, requests.RequestException)

T = TypeVar("T")


@dataclass(slots=True)
class _Session:
    """What one process has of Vault. `lock` is for its fields and held for a moment; `login_lock` for a whole login."""

    pid: int
    client: Any = field(repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock)
    login_lock: threading.Lock = field(default_factory=threading.Lock)
    is_logged_in: bool = False
    renew_at: float = math.inf
    away: KeyProviderAway | None = None
    rests_until: float = 0.0
    failures: int = 0


class VaultClient:
    """One Transit key. Every method raises `KeyProviderAway` when Vault does not answer, or not as it should."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._opened: _Session | None = None

    @property
    def place(self) -> str:
        """The key as an operator names it."""
        settings = self._settings
        where = f" in namespace {settings.namespace}" if settings.namespace else ""
        return f"Transit key {settings.mount}/keys/{settings.key} of Vault at {settings.url}{where}"

    @property
    def is_away(self) -> bool:
        return self._session().away is not None

    def read_key(self) -> dict[str, Any]:
        """What Vault tells of the key: `type`, `derived`, `latest_version`, `keys` by version, and more."""
        return self._ask(lambda transit, names: _read(transit.read_key(**names)))

    def rotate_key(self) -> None:
        """Let Vault make the next version."""
        self._ask(lambda transit, names: transit.rotate_key(**names))

    def encrypt(self, plaintext: bytes, *, binding: bytes, version: int) -> bytes:
        """Nonce, ciphertext and tag, under this version of the key, bound to `binding`."""
        sent = {"plaintext": _encode(plaintext), "associated_data": _encode(binding), "key_version": version}
        return self._ask(
            lambda transit, names: _decode(transit.encrypt_data(**names, **sent), "ciphertext", f"vault:v{version}:")
        )

    def decrypt(self, ciphertext: bytes, *, binding: bytes, version: int) -> bytes:
        """What `encrypt` was given. Raises `Unreadable` for what it did not make, or not with this binding."""
        sent = {"ciphertext": f"vault:v{version}:{_encode(ciphertext)}", "associated_data": _encode(binding)}
        return self._ask(lambda transit, names: _decode(transit.decrypt_data(**names, **sent), "plaintext"))

    def _ask(self, call: Callable[[Any, dict[str, str]], T]) -> T:
        names = {"name": self._settings.key, "mount_point": self._settings.mount}
        return self._call(lambda client: call(client.secrets.transit, names))

    def _call(self, call: Callable[[Any], T]) -> T:
        session = self._session()
        self._respect_rest(session)
        try:
            answer = self._call_logged_in(session, call)
        except _FAILURES as error:
            raise self._translate(session, error) from None
        if session.away is not None:
            session.away = None
            log_event("key_provider_back")
        return answer

    def _call_logged_in(self, session: _Session, call: Callable[[Any], T]) -> T:
        failures = session.failures
        if not session.is_logged_in or time.monotonic() >= session.renew_at:
            self._alone(session, failures, self._log_in_or_renew)
        token = session.client.token
        try:
            return call(session.client)
        except (refusals.Forbidden, refusals.Unauthorized):
            # Unless another thread was here meanwhile.
            if session.client.token == token and not self._alone(session, failures, self._log_in):
                raise
        return call(session.client)

    def _alone(self, session: _Session, failures: int, act: Callable[[_Session], bool]) -> bool:
        """Log in, one thread at a time; those that waited for one that failed fail with it."""
        with session.login_lock:
            if session.away is not None and session.failures != failures:
                raise KeyProviderAway(session.away.cause)
            try:
                return act(session)
            except _FAILURES as error:
                raise self._note_away(session, error) from None

    def _session(self) -> _Session:
        opened = self._opened
        if opened is None or opened.pid != os.getpid():
            opened = self._opened = _Session(os.getpid(), self._connect())
        return opened

    def _connect(self) -> Any:
        settings = self._settings
        http = requests.Session()
        # No proxy, certificate or password of the environment's: what is not in a setting does not count.
        http.trust_env = False
        http.verify = str(settings.ca_file) if settings.ca_file else True
        return hvac.Client(
            url=settings.url.rstrip("/"),
            token="",
            verify=http.verify,
            timeout=settings.timeout_seconds,
            # A token must not follow Vault's word to another address.
            allow_redirects=False,
            session=http,
            namespace=settings.namespace or None,
        )

    def _respect_rest(self, session: _Session) -> None:
        """Raise at once while Vault was just found to be away; whoever comes after the rest asks, the others go on."""
        with session.lock:
            now = time.monotonic()
            if session.away is None:
                return
            if now < session.rests_until:
                raise KeyProviderAway(session.away.cause)
            session.rests_until = now + REST_SECONDS

    def _log_in_or_renew(self, session: _Session) -> bool:
        if not session.is_logged_in:
            return self._log_in(session)
        if time.monotonic() >= session.renew_at:
            self._renew(session)
        return True

    def _log_in(self, session: _Session) -> bool:
        """Show who we are; False when there is nothing else to show than what is shown already."""
        settings = self._settings
        if not settings.role_id:
            token = settings.token.read()
            is_new: bool = token != session.client.token
            session.client.token = token
            session.is_logged_in = True
            if is_new:
                session.renew_at = 0.0
                self._renew(session)
            return is_new
        session.client.token = ""
        answer = session.client.auth.approle.login(
            settings.role_id, settings.secret_id.read() or None, mount_point=settings.approle_mount
        )
        session.is_logged_in = True
        self._note_lease(session, answer)
        return True

    def _renew(self, session: _Session) -> None:
        """A token that cannot be renewed is used until it is refused."""
        try:
            self._note_lease(session, session.client.auth.token.renew_self())
        except (refusals.InvalidRequest, refusals.Forbidden):
            session.renew_at = math.inf

    def _note_lease(self, session: _Session, answer: Any) -> None:
        lease = answer.get("auth", {}).get("lease_duration", 0) if isinstance(answer, dict) else 0
        session.renew_at = time.monotonic() + max(lease / 2, _LEAST_RENEWAL_SECONDS) if lease else math.inf

    def _translate(self, session: _Session, error: Exception) -> Exception:
        """Whether it is about this one ciphertext, or Vault is of no use at the moment."""
        if isinstance(error, refusals.InvalidRequest) and session.is_logged_in:
            said = " ".join(map(str, error.errors or ()))
            if _ALTERED in said:
                return Unreadable("The wrapped key was altered, belongs elsewhere, or was wrapped under another key.")
            if _TOO_OLD in said:
                return Unavailable("Vault no longer decrypts under this version (min_decryption_version of the key).")
            if _TOO_NEW in said:
                return Unavailable("Vault lacks this version of the key; restore it from a newer snapshot.")
            if _MALFORMED in said:
                return Unreadable("The wrapped key is not what Vault made.")
        return self._note_away(session, error)

    def _note_away(self, session: _Session, error: Exception) -> KeyProviderAway:
        reason, cause = self._explain(error)
        away = KeyProviderAway(cause)
        with session.lock:
            is_news = session.away is None
            session.away, session.rests_until = away, time.monotonic() + REST_SECONDS
            session.failures += 1
        if is_news:
            log_event("key_provider_away", level="error", reason=reason, error_class=type(error).__name__)
        return away

    def _explain(self, error: Exception) -> tuple[str, str]:
        """A word for the log, and a sentence for the operator, which repeats nothing that Vault said."""
        url = self._settings.url
        match error:
            case requests.exceptions.SSLError():
                return "untrusted", (
                    f"JOBSERVICE_VAULT_URL: the certificate of {url} cannot be verified; name the authority's file in "
                    "JOBSERVICE_VAULT_CA_FILE."
                )
            case requests.RequestException():
                return "unreachable", f"JOBSERVICE_VAULT_URL: Vault at {url} does not answer; start it or correct this."
            case refusals.VaultDown() | refusals.VaultNotInitialized():
                return "sealed", f"JOBSERVICE_VAULT_URL: Vault at {url} is sealed, in standby or in maintenance."
            case refusals.Forbidden() | refusals.Unauthorized():
                return "refused", (
                    f"JOBSERVICE_VAULT_TOKEN: Vault at {url} refuses us; renew the token, or the role's secret, and "
                    f"see that its policy lets it use the {self.place}."
                )
            case refusals.InvalidPath():
                return "missing", f"JOBSERVICE_VAULT_KEY: there is no {self.place}; make it, or correct the name."
            case refusals.InvalidRequest():
                return "refused", (
                    f"JOBSERVICE_VAULT_KEY: Vault at {url} refuses the request; see that {self.place} is there and of "
                    "type aes256-gcm96, and that the role and its secret are right."
                )
        return "broken", f"JOBSERVICE_VAULT_URL: Vault at {url} answers with a fault ({type(error).__name__})."


def _read(answer: Any) -> dict[str, Any]:
    """Raises a failure for all but an answer of Vault's, such as the page of what is in front of it."""
    found = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise refusals.UnexpectedError("not an answer of Vault's")
    return found


def _decode(answer: Any, name: str, prefix: str = "") -> bytes:
    text = _read(answer).get(name)
    try:
        if isinstance(text, str) and text.startswith(prefix):
            return b64decode(text.removeprefix(prefix), validate=True)
    except ValueError:
        pass
    raise refusals.UnexpectedError("not the answer that was asked for")


def _encode(value: bytes) -> str:
    return b64encode(value).decode()
