"""Sealing of tenants' values: AES-256-GCM under a key derived for one blob and bound to the place where it is stored.

Blob: "J1" | algorithm 1 B | tenant key version 4 B | salt 32 B | commitment 32 B | ciphertext | tag 16 B.
Wrapping of the tenant keys themselves lives in `root_key.py`.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jobservice.crypto.framing import frame
from jobservice.errors import KeyNotHeld, SealingError, Unreadable

SECRET_BYTES = 32
OVERHEAD_BYTES = 87

_MAGIC = b"J1"
_AES_256_GCM = 1
_FORMAT = _MAGIC + bytes([_AES_256_GCM])
_FORMAT_BYTES = len(_FORMAT)
_HEADER = struct.Struct(">3sI32s32s")
_SALT_BYTES = 32
_KEY_END, _NONCE_END, _DERIVED_BYTES = 32, 44, 76
_LABEL = b"jobservice/blob/v1"
_HASH = SHA256()
# An epoch is a tag byte and eight bytes, so that the absence of one equals no epoch, not even epoch 0.
_NO_EPOCH = b"\x00"
_EPOCH = struct.Struct(">cq")


@dataclass(frozen=True, slots=True)
class TenantKey:
    """One version of a tenant's data key: 32 random bytes that never appear in a repr."""

    version: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise SealingError(f"A tenant key has {len(self.secret)} bytes, not {SECRET_BYTES}.")
        if not 0 < self.version < 2**32:
            raise SealingError(f"A tenant key version is {self.version}, not between 1 and {2**32 - 1}.")

    @classmethod
    def generate(cls, version: int) -> TenantKey:
        """A fresh random key."""
        return cls(version, os.urandom(SECRET_BYTES))


class TenantKeys(Protocol):
    """The keys of one tenant by version; a dict is one."""

    def get(self, version: int, /) -> TenantKey | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value is stored. It opens there only; `epoch` is None for what outlives a claim."""

    tenant: UUID
    table: str
    column: str
    row: UUID
    epoch: int | None = None
    content_type: str = "application/json"


def seal(plaintext: bytes, *, key: TenantKey, place: Place) -> bytes:
    """The blob, `OVERHEAD_BYTES` longer than the plaintext; two seals of one value never give the same blob."""
    salt = os.urandom(_SALT_BYTES)
    secret, nonce, commitment = _derive(key, salt)
    ciphertext = AESGCM(secret).encrypt(nonce, plaintext, _associated_data(place))
    return _HEADER.pack(_FORMAT, key.version, salt, commitment) + ciphertext


def open_sealed(blob: bytes, *, keys: TenantKeys, place: Place) -> bytes:
    """The plaintext of a blob that `seal` made for this tenant and place.

    Raises `Unreadable` for anything else, and `KeyNotHeld` for a key version that `keys` does not have.
    """
    version, salt, stored_commitment = _read_header(blob)
    key = keys.get(version)
    if key is None or key.version != version:
        raise KeyNotHeld(f"The value is sealed under tenant key version {version}, which is not available.")
    secret, nonce, commitment = _derive(key, salt)
    # GCM alone accepts a ciphertext crafted to open under two keys; the commitment names the one it was sealed with.
    if not hmac.compare_digest(commitment, stored_commitment):
        raise Unreadable("The sealed value was not sealed under this tenant's key.")
    try:
        return AESGCM(secret).decrypt(nonce, blob[_HEADER.size :], _associated_data(place))
    except InvalidTag:
        raise Unreadable("The sealed value was altered, or belongs to another place.") from None


def is_sealed(head: bytes) -> bool:
    """Whether a value that begins so looks like the work of `seal`, of this version or a later one."""
    return head.startswith(_MAGIC)


def sealed_under(blob: bytes) -> int:
    """The tenant key version a sealed value needs. Raises `Unreadable` for what `seal` never made."""
    return _read_header(blob)[0]


def _read_header(blob: bytes) -> tuple[int, bytes, bytes]:
    """Key version, salt and commitment. Raises `Unreadable`."""
    if len(blob) >= _FORMAT_BYTES and blob[:_FORMAT_BYTES] != _FORMAT:
        raise Unreadable("The sealed value has an unknown format: it was written by a newer version, or is damaged.")
    if len(blob) < OVERHEAD_BYTES:
        raise Unreadable("The sealed value is truncated.")
    _, version, salt, commitment = _HEADER.unpack_from(blob)
    return version, salt, commitment


def _derive(key: TenantKey, salt: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, nonce and commitment of one blob: one derived key seals one blob, so a nonce cannot repeat under it."""
    derived = HKDF(algorithm=_HASH, length=_DERIVED_BYTES, salt=salt, info=_LABEL).derive(key.secret)
    return derived[:_KEY_END], derived[_KEY_END:_NONCE_END], derived[_NONCE_END:]


def _associated_data(place: Place) -> bytes:
    return frame(
        _FORMAT,
        place.tenant.bytes,
        place.table.encode(),
        place.column.encode(),
        place.row.bytes,
        place.content_type.encode(),
        _NO_EPOCH if place.epoch is None else _EPOCH.pack(b"\x01", place.epoch),
    )
