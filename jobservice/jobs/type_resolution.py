"""What accepting a job needs to know of its type: who does the work, where, and under which options and schemas."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q

from jobservice.jobs.job_type_views import built_in_view, is_built_in
from jobservice.jobs.models import JobType
from jobservice.jobs.operator_handlers import handler_defaults, handler_schema_keys
from jobservice.jobs.payload_schema import SchemaKey, TypeSchema
from tenants.context import tenant_tx

POOLS = {"http": "egress", "handler": "handlers"}


@dataclass(frozen=True, slots=True)
class ResolvedType:
    """Who does the work of a type, in which worker pool, and the options its jobs have unless they say otherwise."""

    name: str
    executor: str
    handler: str | None
    pool: str
    defaults: dict[str, Any] = field(default_factory=dict)
    schemas: tuple[SchemaKey, ...] = ()
    on_crash: str = "retry"


def resolve_types(tenant_id: UUID, names: Collection[str]) -> dict[str, ResolvedType]:
    """What accepting jobs needs to know of their types, by name; a type that the tenant does not have is left out."""
    resolved = {name: _resolve_built_in(name) for name in names if is_built_in(name)}
    own = set(names) - set(resolved)
    if not own:
        return resolved
    with tenant_tx(tenant_id):
        # Whether there is a schema, not the schema: it may be long, and is compiled once per version.
        rows = (
            JobType.objects.filter(tenant_id=tenant_id, name__in=own)
            .only("tenant_id", "name", "executor", "handler", "defaults", "on_crash", "version")
            .annotate(has_schema=Q(payload_schema__isnull=False))
        )
        return resolved | {row.name: _resolve_row(row, has_schema=row.has_schema) for row in rows}


def _resolve_built_in(name: str) -> ResolvedType:
    view = built_in_view(name)
    pool, schemas = POOLS[view.executor], handler_schema_keys(view.handler)
    return ResolvedType(name, view.executor, view.handler, pool, view.defaults, schemas)


def _resolve_row(row: JobType, *, has_schema: bool) -> ResolvedType:
    defaults = {**handler_defaults(row.handler), **row.defaults}
    # A type that is done by a handler keeps to the handler's schema as well as to its own.
    schemas = handler_schema_keys(row.handler)
    if has_schema:
        schemas += (TypeSchema(row.tenant_id, row.id, row.version),)
    return ResolvedType(row.name, row.executor, row.handler, POOLS[row.executor], defaults, schemas, row.on_crash)
