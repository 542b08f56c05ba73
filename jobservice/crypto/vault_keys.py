"""The root key as a Transit key of HashiCorp Vault, which no process of ours ever sees.

Vault's versions of the key are ours. A wrapped secret is Vault's ciphertext in the form of `root_key.py`, under
algorithm 2; tenant, purpose and version are Vault's `associated_data`. Its `rewrap` takes none of these, so a rotation
decrypts and encrypts. What was unwrapped is kept for a while, so that an outage of Vault does not stop the service.
"""

from __future__ import annotations

import hmac
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from jobservice.crypto.framing import frame
from jobservice.crypto.kept_secrets import KeptSecrets
from jobservice.crypto.root_key import VAULT_FORMAT, RootKeys, associated_data, wrapped_under
from jobservice.crypto.root_key_provider import Mark
from jobservice.crypto.vault_client import VaultClient
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError, Unavailable, Unreadable
from jobservice.key_settings import VaultSettings

# For so long nobody asks again: a change of one tenant's keys makes every process load those of all others anew.
FRESH_SECONDS = 60.0

_HEADER = struct.Struct(">3sI")
_NONCE_AND_TAG_BYTES = 28
_TYPE = "aes256-gcm96"
_MARK_LABEL = b"jobservice/vault-key/mark/v1"
# What the fingerprint is made of: it decrypts under the very key only that the database was made with.
_CHECK = b"jobservice/vault-key/check/v1"
_CHECK_BINDING = associated_data(UUID(int=0), "check", 1)


@dataclass(frozen=True, slots=True)
class VaultKeyring:
    """The versions of a Transit key. `created` has the second (Unix) in which Vault made each; the highest wraps."""

    client: VaultClient = field(repr=False)
    kept: KeptSecrets = field(repr=False)
    name: str
    created: Mapping[int, int]
    current_version: int

    def up_to(self, version: int) -> VaultKeyring:
        """Wrapping under this version. Vault may have a newer one already, or we may not have looked since."""
        return VaultKeyring(self.client, self.kept, self.name, self.created, version)

    def wrap(self, secret: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes:
        """The secret as Vault encrypts it, bound to its tenant, purpose and own version."""
        binding = associated_data(tenant, purpose, version)
        wrapped = self._encrypt(secret, binding)
        self.kept.keep(wrapped, binding, secret)
        return wrapped

    def unwrap(self, wrapped: bytes, *, tenant: UUID, purpose: str, version: int) -> bytes:
        """The secret that `wrap` was given for the same tenant, purpose and version.

        Raises `Unreadable` for anything else; `KeyProviderAway` when Vault does not answer and nothing is kept, and
        `Unavailable` for a version under which Vault decrypts no more.
        """
        binding = associated_data(tenant, purpose, version)
        kept = self.kept.find(wrapped, binding, within_seconds=FRESH_SECONDS)
        if kept is not None:
            return kept
        try:
            secret = self._decrypt(wrapped, binding)
        except KeyProviderAway:
            kept = self.kept.find(wrapped, binding)
            if kept is None:
                raise
            return kept
        self.kept.keep(wrapped, binding, secret)
        return secret

    def fingerprint(self) -> str:
        """`<version>:<base64>`: a known text under the current version."""
        return f"{self.current_version}:{b64encode(self._encrypt(_CHECK, _CHECK_BINDING)).decode()}"

    def recognises(self, fingerprint: str) -> bool:
        """Whether Vault decrypts what a fingerprint was made of. Vault is asked each time."""
        try:
            return hmac.compare_digest(self._decrypt(b64decode(fingerprint.partition(":")[2]), _CHECK_BINDING), _CHECK)
        except KeyProviderAway:
            raise
        except (SealingError, Unavailable, ValueError):
            return False

    def mark(self) -> str:
        """32 hex digits that name this installation to strangers, the same while its oldest version is kept."""
        return self._mark_of(min(self.created))

    def is_own_mark(self, mark: str) -> bool:
        """Whether a process with any of these versions would call itself by this mark."""
        return any(hmac.compare_digest(self._mark_of(version), mark) for version in self.created)

    def _encrypt(self, secret: bytes, binding: bytes) -> bytes:
        root = self.current_version
        ciphertext = self.client.encrypt(secret, binding=binding, version=root)
        if len(ciphertext) != len(secret) + _NONCE_AND_TAG_BYTES:
            raise SealingError("Vault did not encrypt with AES-256-GCM.")
        return _HEADER.pack(VAULT_FORMAT, root) + ciphertext

    def _decrypt(self, wrapped: bytes, binding: bytes) -> bytes:
        root_version = wrapped_under(wrapped)
        if not wrapped.startswith(VAULT_FORMAT):
            raise Unreadable("The wrapped key is not of this provider of the root key: another one wrapped it.")
        return self.client.decrypt(wrapped[_HEADER.size :], binding=binding, version=root_version)

    def _mark_of(self, version: int) -> str:
        # Where Vault is reached is no part of it: that differs from machine to machine.
        return sha256(frame(_MARK_LABEL, self.name.encode(), str(self.created[version]).encode())).hexdigest()[:32]


class VaultProvider:
    """A Transit key that the operator made. One per process, with what it keeps."""

    def __init__(self, settings: VaultSettings, *, outage_seconds: float) -> None:
        self._settings = settings
        self._client = VaultClient(settings)
        self._kept = KeptSecrets(seconds=outage_seconds)

    @property
    def is_away(self) -> bool:
        return self._client.is_away

    @property
    def has_kept(self) -> bool:
        return self._kept.has_any()

    def load(self) -> RootKeys:
        found = self._client.read_key()
        created = {int(version): int(second) for version, second in found.get("keys", {}).items()}
        if found.get("type") != _TYPE or found.get("derived") or not created:
            raise ConfigurationError(
                f"JOBSERVICE_VAULT_KEY: the {self._client.place} is not of type {_TYPE}, or is derived; make another."
            )
        return VaultKeyring(self._client, self._kept, self._settings.key, created, max(created))

    def mark(self) -> Mark:
        return ()  # Vault knows its versions; it is asked, not read again

    def create(self, *, is_first: bool) -> Path | None:
        return None  # the operator's to make, so that the service needs no right to

    def add_version(self) -> int:
        self._client.rotate_key()
        return int(self._client.read_key()["latest_version"])

    def tell_older(self, version: int) -> str:
        return (
            f"JOBSERVICE_VAULT_KEY: the {self._client.place} lacks version {version}, which this database uses; "
            "restore Vault from a newer snapshot."
        )

    def tell_other(self) -> str:
        return (
            f"JOBSERVICE_VAULT_KEY: the {self._client.place} is not the root key of this database; name the one that "
            "its first start used, or lower its min_decryption_version."
        )

    def tell_prepared(self, version: int) -> str:
        return (
            f"Version {version} of the {self._client.place} is there and not in use yet.\n"
            "There is nothing to copy; run `manage.py rotate_root_key`."
        )

    def tell_rotated(self) -> str:
        return (
            "Do not raise min_decryption_version of the key in Vault: backups of the database need its older versions."
        )
