"""The root keys of this process, and which of them wraps now. Where they are kept, a provider knows.

They are loaded once, and again only when they have changed and something asks for a version that is not loaded: a
rotation needs no restart, and a damaged value cannot make a process read a key file at every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from jobservice.crypto.root_key import RootKeys, fingerprint_version
from jobservice.crypto.root_key_provider import Mark, RootKeyProvider, make_provider
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, Unavailable
from jobservice.logs import log_event
from tenants.models import Installation


@dataclass(frozen=True, slots=True)
class _Loaded:
    provider: RootKeyProvider
    mark: Mark
    keyring: RootKeys


_provider: RootKeyProvider | None = None
_loaded: _Loaded | None = None


def root_key_provider() -> RootKeyProvider:
    """The provider that the settings choose. Raises `ConfigurationError`."""
    global _provider
    _provider = _provider or make_provider(settings.ENVIRONMENT)
    return _provider


def root_keyring() -> RootKeys:
    """The root keys as they were last loaded.

    Raises `ConfigurationError` or `KeyProviderAway` when they cannot be, the first time.
    """
    return (_loaded or _load()).keyring


def renewed_root_keyring() -> RootKeys:
    """The root keys, loaded again if they have changed. What cannot be used leaves the loaded ones."""
    global _loaded
    if _loaded is None:
        return _load().keyring
    mark = _loaded.provider.mark()
    if mark != _loaded.mark:
        try:
            return _load().keyring
        except ConfigurationError as error:
            # Half a copy, perhaps: its last byte changes the mark once more.
            log_event("root_key_refused", level="error", error_class=type(error).__name__)
            _loaded = _Loaded(_loaded.provider, mark, _loaded.keyring)
    return _loaded.keyring


def forget_root_keyring() -> None:
    """Begin anew when the root keys are next asked for, with what the settings say then."""
    global _provider
    _provider = None
    reload_root_keyring()


def reload_root_keyring() -> None:
    """Load them again when they are next asked for."""
    global _loaded
    _loaded = None


def is_root_key_of(fingerprint: str) -> bool:
    """Whether these are the root keys of a database with this fingerprint. Raises `KeyProviderAway`."""
    return root_keyring().recognises(fingerprint) or renewed_root_keyring().recognises(fingerprint)


def version_in_use() -> int:
    """The version that the database names: under it, everybody wraps."""
    return fingerprint_version(Installation.objects.values_list("root_key_fingerprint", flat=True).get())


def lock_version_in_use() -> int:
    """As above, in the transaction that stores what is wrapped: a rotation waits for it before it moves it on."""
    named = Installation.objects.select_for_update(no_key=True).values_list("root_key_fingerprint", flat=True).get()
    return fingerprint_version(named)


def wrap(secret: bytes, *, under: int, tenant: UUID, purpose: str, version: int) -> bytes:
    """A tenant's secret, wrapped under this version of the root key, whatever there is beyond it."""
    return root_keyring().up_to(under).wrap(secret, tenant=tenant, purpose=purpose, version=version)


def unwrap(wrapped: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes:
    """A tenant's secret. Raises `Unreadable`, and `Unavailable` for a root version that is not at hand yet."""
    try:
        return root_keyring().unwrap(wrapped, tenant=tenant, purpose=purpose, version=version)
    except KeyProviderAway:
        raise
    except Unavailable:
        return renewed_root_keyring().unwrap(wrapped, tenant=tenant, purpose=purpose, version=version)


def _load() -> _Loaded:
    global _loaded
    provider = root_key_provider()
    # The mark first: a change while they are read is seen as one at the next look.
    mark = provider.mark()
    _loaded = _Loaded(provider, mark, provider.load())
    return _loaded
