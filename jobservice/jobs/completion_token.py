"""The token of a completion URL: which run of which tenant's job it may complete, signed. Whoever has it, may.

Base64url of: version, tenant, job, epoch, and an HMAC of these under the tenant's index key, which does not rotate: a
rotation of the data key would cut every run under way off. It is worth nothing once the epoch is over.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

from jobservice.crypto.keyed_hash import keyed_hash
from jobservice.errors import SealingError
from tenants.data_keys import tenant_keys

TOKEN_CHARACTERS = 98
_VERSION = b"\x01"
_PURPOSE = "completion"
_MAC_BYTES = 32
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}")


@dataclass(frozen=True, slots=True)
class RunRef:
    """One run: a job under the epoch of one claim."""

    tenant_id: UUID
    job_id: UUID
    epoch: int


def make_token(run: RunRef) -> str:
    """The token. Raises `SealingError` when the tenant has no keys."""
    named = _VERSION + run.tenant_id.bytes + run.job_id.bytes + run.epoch.to_bytes(8, "big")
    return _encode(named + _mac(run.tenant_id, named))


def is_token(text: str) -> bool:
    """Whether it has the form of a token. What has not costs no look for keys."""
    return _decode(text) is not None


def read_token(text: str) -> RunRef | None:
    """The run that the token is of; None when it is malformed, forged, or of a tenant that is gone."""
    raw = _decode(text)
    if raw is None:
        return None
    named, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    tenant_id = UUID(bytes=named[1:17])
    try:
        is_right = hmac.compare_digest(_mac(tenant_id, named), mac)
    except SealingError:
        return None
    return RunRef(tenant_id, UUID(bytes=named[17:33]), int.from_bytes(named[33:], "big")) if is_right else None


def _mac(tenant_id: UUID, named: bytes) -> bytes:
    return keyed_hash(tenant_keys(tenant_id).index, _PURPOSE, named)


def _decode(text: str) -> bytes | None:
    if not _TOKEN.fullmatch(text):
        return None
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The last character has bits to spare: of all that decode alike, one is the token.
    return raw if raw[:1] == _VERSION and _encode(raw) == text else None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
