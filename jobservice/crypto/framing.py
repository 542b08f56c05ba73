"""Length-prefixed joining of byte fields, so that no two different lists of fields give the same bytes."""

from __future__ import annotations

import struct

_pack_length = struct.Struct(">I").pack


def frame(*fields: bytes) -> bytes:
    """Each field after its length (4 bytes, big-endian), in order; injective over lists of fields."""
    return b"".join([_pack_length(len(field)) + field for field in fields])
