"""The root keys: they wrap the secrets of tenants (data keys, index keys), the audit key, and nothing else.

Wrapped secret: "K1" | algorithm 1 B | root version 4 B | nonce 12 B | ciphertext | tag 16 B. The algorithm is 1 for
AES-256-GCM in this process, under secrets that it holds; 2 for the same in Vault (`vault_keys.py`).
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jobservice.crypto.framing import frame
from jobservice.crypto.key_file import SECRET_BYTES, KeyFile, add_key_version, create_key_file, read_key_file
from jobservice.errors import SealingError, Unavailable, Unreadable

_FORMAT = b"K1\x01"
VAULT_FORMAT = b"K1\x02"
_HEADER = struct.Struct(">3sI12s")
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAP_LABEL = b"tk/v1"
_FINGERPRINT_LABEL = b"jobservice/root-key/fingerprint/v1"
_MARK_LABEL = b"jobservice/root-key/mark/v1"


class RootKeys(Protocol):
    """Every version of the root key that this process may use; the highest one wraps.

    `wrap`, `unwrap`, `fingerprint` and `recognises` raise `KeyProviderAway` where the keys are kept elsewhere.
    """

    @property
    def current_version(self) -> int: ...
    def up_to(self, version: int) -> RootKeys: ...
    def wrap(self, secret: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes: ...
    def unwrap(self, wrapped: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes: ...
    def fingerprint(self) -> str: ...
    def recognises(self, fingerprint: str) -> bool: ...
    def mark(self) -> str: ...
    def is_own_mark(self, mark: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class RootKeyring:
    """Root keys whose secrets this process holds itself: those of a file, or of the environment."""

    secrets: Mapping[int, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secrets or any(len(secret) != SECRET_BYTES for secret in self.secrets.values()):
            raise SealingError(f"A root keyring needs at least one key, each of {SECRET_BYTES} bytes.")
        object.__setattr__(self, "secrets", MappingProxyType(dict(self.secrets)))

    @property
    def current_version(self) -> int:
        return max(self.secrets)

    def up_to(self, version: int) -> RootKeyring:
        """The keyring without the versions after this one, which are prepared but must not wrap yet."""
        return RootKeyring({held: secret for held, secret in self.secrets.items() if held <= version})

    def wrap(self, secret: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes:
        """The secret sealed under the current root key, bound to its tenant, purpose and own version."""
        nonce = os.urandom(_NONCE_BYTES)
        root = self.current_version
        ciphertext = AESGCM(self.secrets[root]).encrypt(nonce, secret, associated_data(tenant, purpose, version))
        return _HEADER.pack(_FORMAT, root, nonce) + ciphertext

    def unwrap(self, wrapped: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes:
        """The secret that `wrap` was given for the same tenant, purpose and version.

        Raises `Unreadable` for anything else, and `Unavailable` for a root version that this keyring lacks: its file
        may be older than a rotation, and what depends on the secret is then not lost.
        """
        root_version = wrapped_under(wrapped)
        if not wrapped.startswith(_FORMAT):
            raise Unreadable("The wrapped key is not of this provider of the root key: another one wrapped it.")
        root = self.secrets.get(root_version)
        if root is None:
            raise Unavailable(f"Root key version {root_version} is not in the root key file of this process.")
        _, _, nonce = _HEADER.unpack_from(wrapped)
        try:
            return AESGCM(root).decrypt(nonce, wrapped[_HEADER.size :], associated_data(tenant, purpose, version))
        except InvalidTag:
            raise Unreadable(
                "The wrapped key was altered, belongs elsewhere, or was wrapped under another root key."
            ) from None

    def fingerprint(self) -> str:
        """`<version>:<64 hex digits>` of the current root key, to be stored and shown to `recognises` at each boot."""
        return self._fingerprint_of(self.current_version)

    def recognises(self, fingerprint: str) -> bool:
        """Whether the keyring has the very key, under the same version, that a stored fingerprint was made of."""
        return any(hmac.compare_digest(self._fingerprint_of(version), fingerprint) for version in self.secrets)

    def mark(self) -> str:
        """32 hex digits that name this installation to strangers, the same while its oldest root key is kept."""
        return self._mark_of(min(self.secrets))

    def is_own_mark(self, mark: str) -> bool:
        """Whether a process with any of these root keys would call itself by this mark."""
        return any(hmac.compare_digest(self._mark_of(version), mark) for version in self.secrets)

    def _mark_of(self, version: int) -> str:
        return hmac.digest(self.secrets[version], _MARK_LABEL, "sha256").hex()[:32]

    def _fingerprint_of(self, version: int) -> str:
        return f"{version}:{hmac.digest(self.secrets[version], _FINGERPRINT_LABEL, 'sha256').hex()}"


def wrapped_under(wrapped: bytes) -> int:
    """The root version a wrapped secret needs. Raises `Unreadable` for what `wrap` never made."""
    if len(wrapped) >= len(_FORMAT) and wrapped[: len(_FORMAT)] not in (_FORMAT, VAULT_FORMAT):
        raise Unreadable("The wrapped key has an unknown format: it was written by a newer version, or is damaged.")
    if len(wrapped) < _HEADER.size + _TAG_BYTES:
        raise Unreadable("The wrapped key is truncated.")
    _, root_version, _ = _HEADER.unpack_from(wrapped)
    return int(root_version)


def fingerprint_version(fingerprint: str) -> int:
    """The root key version that a fingerprint names."""
    return int(fingerprint.partition(":")[0])


def load_root_keyring(path: Path) -> RootKeyring:
    """The keyring in a root key file. Raises `ConfigurationError` naming JOBSERVICE_ROOT_KEY_FILE and the fix."""
    return RootKeyring(read_key_file(root_key_file(path)))


def create_root_key_file(path: Path) -> None:
    """Make the root key, mode 0600. Raises `FileExistsError` or `ConfigurationError`, changing nothing."""
    create_key_file(root_key_file(path))


def add_root_key_version(path: Path) -> int:
    """Add a root key of the next version, which this returns. What is wrapped under it opens only where the file came.

    Raises `ConfigurationError`.
    """
    return add_key_version(root_key_file(path))


def root_key_file(path: Path) -> KeyFile:
    return KeyFile(path, setting="JOBSERVICE_ROOT_KEY_FILE", format="jobservice-root-key/v1")


def associated_data(tenant: UUID, purpose: str, version: int) -> bytes:
    """What binds a wrapped secret to its tenant, its purpose and its own version."""
    return frame(_WRAP_LABEL, tenant.bytes, purpose.encode(), version.to_bytes(4, "big"))
