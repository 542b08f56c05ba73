"""Refs of deliveries as statements take them and give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobservice.crypto.message_mac import Ref


def ref_columns(refs: Sequence[Ref]) -> dict[str, Any]:
    """The parameters that name these deliveries."""
    return {
        "tenants": [ref.tenant_id for ref in refs],
        "deliveries": [ref.id for ref in refs],
        "epochs": [ref.epoch for ref in refs],
    }


def read_ref(row: Any) -> Ref:
    """The ref in a row."""
    return Ref(row.tenant_id, row.delivery_id, row.epoch)
