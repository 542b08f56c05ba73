"""The root keys of this process, and which of them wraps now.

The key file is read once, and again only when it has changed and something asks for a version that is not loaded: a
rotation needs no restart, and a damaged value cannot make a process read the file at every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings

from jobservice.crypto.root_key import RootKeyring, fingerprint_version, load_root_keyring
from jobservice.env import ConfigurationError
from jobservice.errors import Unavailable
from jobservice.logs import log_event
from tenants.models import Installation

_Mark = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _Loaded:
    path: Path
    mark: _Mark
    keyring: RootKeyring


_loaded: _Loaded | None = None


def root_keyring() -> RootKeyring:
    """The root keys as they were last loaded. Raises `ConfigurationError` when they cannot be, the first time."""
    return (_loaded or _load()).keyring


def renewed_root_keyring() -> RootKeyring:
    """The root keys, loaded again if their file has changed. A file that cannot be used leaves the loaded ones."""
    global _loaded
    if _loaded is None:
        return _load().keyring
    mark = _mark_of(_loaded.path)
    if mark != _loaded.mark:
        try:
            return _load().keyring
        except ConfigurationError as error:
            # Half a copy, perhaps: its last byte changes the mark once more.
            log_event("root_key_refused", level="error", error_class=type(error).__name__)
            _loaded = _Loaded(_loaded.path, mark, _loaded.keyring)
    return _loaded.keyring


def forget_root_keyring() -> None:
    """Load the file again when the root keys are next asked for."""
    global _loaded
    _loaded = None


def is_root_key_of(fingerprint: str) -> bool:
    """Whether the key file holds the root key of a database with this fingerprint."""
    return root_keyring().recognises(fingerprint) or renewed_root_keyring().recognises(fingerprint)


def wrapping_keyring() -> RootKeyring:
    """The root keys as they wrap now: up to the version that the database names, whatever the file holds beyond it.

    Run in the transaction that stores what is wrapped: a rotation waits for it before it moves the version on.
    """
    named = Installation.objects.select_for_update(no_key=True).values_list("root_key_fingerprint", flat=True).get()
    return root_keyring().up_to(fingerprint_version(named))


def unwrap(wrapped: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes:
    """A tenant's secret. Raises `Unreadable`, and `Unavailable` for a root version that is not in the file yet."""
    try:
        return root_keyring().unwrap(wrapped, tenant=tenant, purpose=purpose, version=version)
    except Unavailable:
        return renewed_root_keyring().unwrap(wrapped, tenant=tenant, purpose=purpose, version=version)


def _load() -> _Loaded:
    global _loaded
    path = settings.ENVIRONMENT.root_key_file
    # The mark first: a change while the file is read is seen as one at the next look.
    mark = _mark_of(path)
    _loaded = _Loaded(path, mark, load_root_keyring(path))
    return _loaded


def _mark_of(path: Path) -> _Mark:
    """What differs after any change of the file; None when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
