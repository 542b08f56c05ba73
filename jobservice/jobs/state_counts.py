"""How many jobs a tenant has in each state, for tabs that are looked at every few seconds: capped, so always quick."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from jobservice.statements import run_statement
from tenants.context import tenant_tx

_SQL = Path(__file__).resolve().parent / "sql"
MOST_COUNTED = 1000


def count_states(tenant_id: UUID) -> dict[str, int]:
    """By state, up to `MOST_COUNTED` + 1, which stands for more than that."""
    with tenant_tx(tenant_id):
        rows = run_statement(_SQL / "count_states_capped.sql", {"tenant": tenant_id, "limit": MOST_COUNTED + 1})
    return {row.state: row.jobs for row in rows}
