"""Opaque cursors of lists: a position that only the tenant and the filters it was made for can use again.

Cursor: base64url of the position, 16 B, and the first 16 B of an HMAC under the tenant's index key.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from jobservice.crypto.keyed_hash import keyed_hash
from jobservice.errors import Fault, Invalid
from jobservice.field_checks import compact_json
from tenants.data_keys import tenant_keys

_POSITION_BYTES = 16
_MAC_BYTES = 16
_CURSOR = re.compile(r"[0-9A-Za-z_-]{43}")


@dataclass(frozen=True, slots=True)
class CursorScope:
    """The one list a cursor belongs to: a name, its filters, and whose it is."""

    tenant_id: UUID
    list_name: str
    filters: Mapping[str, object]

    def show(self, position: bytes) -> str:
        """The cursor after the entry at this position (16 bytes)."""
        return urlsafe_b64encode(position + self._mac(position)).decode().rstrip("=")

    def read(self, cursor: str) -> bytes:
        """The position. Raises `Invalid` (`bad-cursor`) for a cursor of another list, tenant or filter."""
        if _CURSOR.fullmatch(cursor):
            content = urlsafe_b64decode(cursor + "=")
            position, mac = content[:_POSITION_BYTES], content[_POSITION_BYTES:]
            if hmac.compare_digest(mac, self._mac(position)):
                return position
        raise Invalid([Fault("/cursor", "bad-cursor", "The cursor is not one of this list with these filters.")])

    def _mac(self, position: bytes) -> bytes:
        key = tenant_keys(self.tenant_id).index
        parts = (self.tenant_id.bytes, self.list_name.encode(), compact_json(dict(self.filters)), position)
        return keyed_hash(key, "cursor", *parts)[:_MAC_BYTES]
