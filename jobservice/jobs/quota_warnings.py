"""Warns a tenant, by an event, when it uses most of a quota: once, until it uses clearly less again.

Run by the dispatcher, some tenants at a time, so that a round costs the same however many there are. Warned of are the
quotas of what is kept: not `running` and the requests of a second, which come and go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction

from jobservice.logs import log_event
from jobservice.statements import run_statement
from jobservice.webhooks.event_types import QUOTA_WARNING
from jobservice.webhooks.events import tell_tenant
from tenants.quotas import DEFAULTS

_SQL = Path(__file__).resolve().parent / "sql"
TENANTS_PER_ROUND = 500
# Parts of a quota: warned at, and warned anew after less than.
WARN, EASE = 0.8, 0.7
_FIRST = UUID(int=0)


@dataclass(slots=True)
class QuotaWatch:
    """The look at some tenants after the others. It remembers at which tenant it stopped."""

    _after: UUID = _FIRST

    def look(self) -> int:
        """Warn those of the next tenants that are to be warned. The number of warnings."""
        parameters = {
            "after": self._after,
            "tenants": TENANTS_PER_ROUND,
            "defaults": json.dumps(dict(DEFAULTS)),
            "warn": WARN,
            "ease": EASE,
        }
        with transaction.atomic():
            rows = run_statement(_SQL / "warn_quotas.sql", parameters)
            warned = [row for row in rows if row.tenant_id is not None]
            for row in warned:
                quota = {"name": row.name, "limit": row.allowed, "used": row.used}
                tell_tenant(row.tenant_id, QUOTA_WARNING, {"quota": quota})
        for row in warned:
            log_event("quota_warning", tenant_id=row.tenant_id, kind=row.name, limit=row.allowed, count=row.used)
        self._after = rows[0].last_id or _FIRST
        return len(warned)
