"""The broker message `{v, kind, refs: [[tenant, id, epoch]…], mac}` under the message key, which opens no payload.

A message is a hint: it carries no work, only references that a worker starts if their epoch still stands.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeGuard
from uuid import UUID

from jobservice.crypto.framing import frame
from jobservice.crypto.key_file import KeyFile, create_key_file, read_key_file
from jobservice.errors import JobserviceError

VERSION = 1
MAX_REFS = 1000

_LABEL = b"jobservice/message/v1"
_FIELDS = {"v", "kind", "refs", "mac"}
_KIND = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_HEX_ID = re.compile(r"[0-9a-f]{32}")
_HEX_MAC = re.compile(r"[0-9a-f]{64}")
_MAX_EPOCH = 2**63 - 1

Reason = Literal["malformed", "unknown-version", "bad-mac"]
_SENTENCES: dict[Reason, str] = {
    "malformed": "The broker message is malformed.",
    "unknown-version": "The broker message has an unknown version: it was written by a newer version of the service.",
    "bad-mac": "The broker message was not signed with this service's message key.",
}


class MessageRefused(JobserviceError):
    """A broker message to drop and count; `reason` is the counter's label."""

    code = "message-refused"

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MessageKey:
    """The secrets of the message key, newest first: the first signs, each verifies."""

    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ref:
    """One thing to work on (a job or a delivery, by the message's kind) as it was when it was claimed."""

    tenant_id: UUID
    id: UUID
    epoch: int


@dataclass(frozen=True, slots=True)
class Message:
    kind: str
    refs: tuple[Ref, ...]


def encode_message(kind: str, refs: Sequence[Ref], key: MessageKey) -> dict[str, object]:
    """The signed message as JSON values, ids as 32 hex digits.

    Raises `ValueError` for what `decode_message` would refuse: a bad kind, or not 1 to `MAX_REFS` refs.
    """
    if not _KIND.fullmatch(kind) or not 0 < len(refs) <= MAX_REFS or any(not _is_epoch(ref.epoch) for ref in refs):
        raise ValueError(f"A message has a kind like 'jobs.run' and 1 to {MAX_REFS} refs with epochs from 0.")
    rows = [[ref.tenant_id.hex, ref.id.hex, ref.epoch] for ref in refs]
    return {"v": VERSION, "kind": kind, "refs": rows, "mac": sign_refs(key, kind, refs)}


def decode_message(payload: object, key: MessageKey) -> Message:
    """The message in a parsed JSON value. Raises `MessageRefused`, and nothing else, whatever the value is."""
    if not isinstance(payload, dict) or type(payload.get("v")) is not int:
        raise MessageRefused("malformed")
    if payload["v"] != VERSION:
        raise MessageRefused("unknown-version")
    kind, rows, mac = payload.get("kind"), payload.get("refs"), payload.get("mac")
    if payload.keys() != _FIELDS or not _is_text(kind, _KIND) or not _is_text(mac, _HEX_MAC):
        raise MessageRefused("malformed")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_REFS:
        raise MessageRefused("malformed")
    refs = tuple(_read_ref(row) for row in rows)
    if not verify_refs(key, kind, refs, mac):
        raise MessageRefused("bad-mac")
    return Message(kind, refs)


def sign_refs(key: MessageKey, kind: str, refs: Sequence[Ref]) -> str:
    """The MAC, 64 hex digits: HMAC-SHA256 under the newest secret of the kind and every ref in order."""
    return _mac(key.secrets[0], kind, refs)


def verify_refs(key: MessageKey, kind: str, refs: Sequence[Ref], mac: str) -> bool:
    """Whether one of the key's secrets made this MAC (ASCII text) of the kind and the refs."""
    return any(hmac.compare_digest(_mac(secret, kind, refs), mac) for secret in key.secrets)


def load_message_key(path: Path) -> MessageKey:
    """The key in a message key file. Raises `ConfigurationError` naming JOBSERVICE_MESSAGE_KEY_FILE and the fix."""
    keys = read_key_file(message_key_file(path))
    return MessageKey(tuple(keys[version] for version in sorted(keys, reverse=True)))


def create_message_key_file(path: Path) -> None:
    """Make the message key, mode 0600. Raises `FileExistsError` or `ConfigurationError`, changing nothing."""
    create_key_file(message_key_file(path))


def message_key_file(path: Path) -> KeyFile:
    return KeyFile(path, setting="JOBSERVICE_MESSAGE_KEY_FILE", format="jobservice-message-key/v1")


def _mac(secret: bytes, kind: str, refs: Sequence[Ref]) -> str:
    packed = [ref.tenant_id.bytes + ref.id.bytes + ref.epoch.to_bytes(8, "big") for ref in refs]
    return hmac.digest(secret, frame(_LABEL, kind.encode(), *packed), "sha256").hex()


def _read_ref(row: object) -> Ref:
    if not isinstance(row, list) or len(row) != 3:
        raise MessageRefused("malformed")
    tenant, identifier, epoch = row
    if not _is_text(tenant, _HEX_ID) or not _is_text(identifier, _HEX_ID) or not _is_epoch(epoch):
        raise MessageRefused("malformed")
    return Ref(UUID(hex=tenant), UUID(hex=identifier), epoch)


def _is_text(value: object, pattern: re.Pattern[str]) -> TypeGuard[str]:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_epoch(value: object) -> TypeGuard[int]:
    # Not isinstance: JSON's true is an int to Python, and signs like 1.
    return type(value) is int and 0 <= value <= _MAX_EPOCH
