"""API keys: made once, shown once, stored as hashes, found before any tenant is known.

What one key may do to others is in `api_key_changes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from jobservice.database import drop_dead_connections
from jobservice.errors import Fault, Invalid
from jobservice.ids import API_KEY, new_id, show_id
from jobservice.statements import run_statement
from tenants.api_key_format import ParsedApiKey, matches, new_api_key, parse_api_key
from tenants.api_key_rights import KeyRights, find_excess, find_scope_excess
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.models import ApiKey

_SQL = Path(__file__).resolve().parent / "sql"
# Keys that are good for something.
LIVE = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))

SCOPES = (
    "jobs:read",
    "jobs:write",
    "payloads:read",
    "queues:write",
    "types:write",
    "webhooks:write",
    "keys:write",
    "leases:write",
    "tenant:read",
    "audit:read",
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that was checked: whose it is and what it may do."""

    key_id: UUID
    tenant_id: UUID
    tenant_name: str
    tenant_status: str
    quotas: Mapping[str, int | None]
    scopes: frozenset[str]
    queues: tuple[str, ...] | None
    cidrs: tuple[str, ...] | None
    expires_at: datetime | None = None
    # Whether the time of its last use is a minute old, see `note_use`.
    is_use_unnoted: bool = False

    @property
    def rights(self) -> KeyRights:
        """What it may do, as a key."""
        return KeyRights(self.scopes, self.queues, self.cidrs, self.expires_at)

    # As one who changes keys, see `api_key_actors.KeyActor`.
    @property
    def over(self) -> str:
        return "The API key of this request is over."

    def is_living(self) -> bool:
        return ApiKey.objects.filter(LIVE, tenant_id=self.tenant_id, id=self.key_id).exists()

    def read_quotas(self) -> Mapping[str, int | None]:
        return self.quotas

    def find_excess(self, rights: KeyRights) -> str | None:
        return find_excess(rights, parent=self.rights)

    def find_end_excess(self, scopes: frozenset[str]) -> str | None:
        """Its queues, networks and end do not count: a key in the wrong hands must not be out of reach because it can
        do more."""
        return find_scope_excess(scopes, parent=self.rights)


def create_api_key(
    tenant_id: UUID,
    *,
    name: str,
    scopes: Sequence[str],
    queues: Sequence[str] | None = None,
    cidrs: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[UUID, str]:
    """Make a key; its id and its text, which cannot be had again. Run in a transaction of the tenant.

    Raises `Invalid` for an unknown scope.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        detail = f"Scopes are {', '.join(SCOPES)}; not {', '.join(unknown) or 'none at all'}."
        raise Invalid([Fault("/scopes", "bad-format", detail)])
    new = new_api_key()
    row = ApiKey.objects.create(
        id=new_id(),
        tenant_id=tenant_id,
        name=name,
        lookup_id=new.lookup_id,
        secret_hash=new.secret_hash,
        scopes=sorted(set(scopes)),
        queues=None if queues is None else list(queues),
        cidrs=None if cidrs is None else list(cidrs),
        expires_at=expires_at,
    )
    note_act(tenant_id, "api-key.created", show_id(API_KEY, row.id), after=row)
    return row.id, new.text


def authenticate(text: str) -> Credential | None:
    """The credential of a key's text; None when it is malformed, unknown, wrong, expired or revoked.

    Asked of the database each time, so that a revocation counts at once in every process.
    """
    parsed = parse_api_key(text)
    if parsed is None:
        return None
    row = _look_up(parsed)
    is_right = _is_right(parsed, row)
    if row is None or not is_right or not row.is_live:
        return None
    return Credential(
        key_id=row.id,
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        tenant_status=row.tenant_status,
        quotas=row.tenant_quotas,
        scopes=frozenset(row.scopes),
        queues=None if row.queues is None else tuple(row.queues),
        cidrs=None if row.cidrs is None else tuple(row.cidrs),
        expires_at=row.expires_at,
        is_use_unnoted=row.is_use_unnoted,
    )


def note_use(tenant_id: UUID, key_id: UUID) -> None:
    """Write when the key was last used, unless that was done within a minute. To be called after the answer."""
    with tenant_tx(tenant_id):
        run_statement(_SQL / "note_key_use.sql", {"tenant": tenant_id, "key": key_id})


def _look_up(parsed: ParsedApiKey) -> Any:
    """The key's row, or None. The first statement of most requests: it is the one that meets a connection that died."""
    path, parameters = _SQL / "look_up_api_key.sql", {"lookup_id": parsed.lookup_id}
    try:
        rows = run_statement(path, parameters)
    except (OperationalError, InterfaceError):
        if not drop_dead_connections():
            raise
        rows = run_statement(path, parameters)
    return rows[0] if rows else None


def _is_right(parsed: ParsedApiKey, row: Any | None) -> bool:
    """Whether the secret is the row's, or the one before it while that is valid.

    Two hashes are compared even when no row was found, so that the time tells nothing.
    """
    is_current = matches(parsed, bytes(row.secret_hash) if row else bytes(32))
    is_previous = matches(parsed, bytes((row and row.previous_secret_hash) or bytes(32)))
    return is_current or is_previous
