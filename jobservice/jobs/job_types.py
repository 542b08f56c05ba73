"""Job types: what a type's name stands for. The operator's handlers and the built-in types belong to every tenant."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from jobservice.errors import Conflict, Fault, Invalid, JobserviceError, NotFound, QuotaExceeded
from jobservice.ids import new_id
from jobservice.jobs.cursors import CursorScope
from jobservice.jobs.field_checks import NAME
from jobservice.jobs.job_type_spec import HttpTarget, JobTypeSpec, parse_job_type
from jobservice.jobs.models import JobType, LiveJob
from jobservice.jobs.operator_handlers import (
    handler_defaults,
    handler_schema,
    handler_schema_keys,
    installed_handlers,
)
from jobservice.jobs.payload_schema import SchemaKey, TypeSchema
from jobservice.jobs.schema_compiling import Schema
from jobservice.jobs.submission import HTTP_REQUEST
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.context import tenant_tx, tenants_tx
from tenants.data_keys import open_column, seal_column, tenant_keys
from tenants.quotas import DEFAULTS as DEFAULT_QUOTAS

_SQL = Path(__file__).resolve().parent / "sql"

POOLS = {"http": "egress", "handler": "handlers"}

_MARK_BYTES = 16
_BUILT_IN = "{} is built in or installed by the operator, and cannot be changed."

Precondition = Callable[[int | None], bool]


class PreconditionFailed(JobserviceError):
    """The object is not in the version that the caller expects."""

    code = "precondition-failed"


@dataclass(frozen=True, slots=True)
class ResolvedType:
    """Who does the work of a type, in which worker pool, and the options its jobs have unless they say otherwise."""

    name: str
    executor: str
    handler: str | None
    pool: str
    defaults: dict[str, Any] = field(default_factory=dict)
    schemas: tuple[SchemaKey, ...] = ()


@dataclass(frozen=True, slots=True)
class JobTypeView:
    """A type as it is stored. `id` is None for one that is built in; `version` is 0 then."""

    id: UUID | None
    name: str
    executor: str
    http: HttpTarget | None
    handler: str | None
    defaults: dict[str, Any]
    payload_schema: Schema | None = None
    on_crash: str = "retry"
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobTypePage:
    """Part of the list of types. `next_cursor` is None at the end."""

    data: list[JobTypeView]
    next_cursor: str | None


def put_job_type(
    tenant_id: UUID,
    name: str,
    raw: object,
    *,
    precondition: Precondition | None = None,
    max_types: int | None = DEFAULT_QUOTAS["job_types"],
) -> tuple[JobTypeView, bool]:
    """Make or replace the tenant's type of this name; whether it is new.

    `precondition` judges the version that is stored (None: there is none) while it is locked; `max_types` is how many
    types the tenant may have, None for any number. Raises `Invalid`, `EgressRefused`, `Conflict` for a built-in name,
    `PreconditionFailed` and `QuotaExceeded`.
    """
    if not NAME.fullmatch(name):
        raise Invalid([Fault("/name", "bad-format", "A name is a-z or 0-9, then at most 99 of a-z, 0-9, . _ and -.")])
    if is_built_in(name):
        raise Conflict(_BUILT_IN.format(name))
    spec = parse_job_type(raw, handlers=installed_handlers())
    tenant_keys(tenant_id)  # loaded before the transaction that seals
    try:
        row, is_new = _write(tenant_id, name, spec, precondition, max_types)
    except IntegrityError:
        # Of two first PUTs the later one finds the other's row now.
        row, is_new = _write(tenant_id, name, spec, precondition, max_types)
    log_event("job_type_put", tenant_id=tenant_id, outcome="created" if is_new else "replaced")
    return _view(row), is_new


def delete_job_type(tenant_id: UUID, name: str, *, precondition: Precondition | None = None) -> None:
    """Forget the tenant's type of this name. `precondition` is as for `put_job_type`.

    Raises `NotFound`, `PreconditionFailed`, and `Conflict` for a built-in name or while it has unfinished jobs.
    A job that is accepted at the same moment is not seen: it ends as one whose type is gone.
    """
    if is_built_in(name):
        raise Conflict(_BUILT_IN.format(name))
    if not NAME.fullmatch(name):
        raise _unknown()
    with tenant_tx(tenant_id):
        row = JobType.objects.select_for_update().filter(tenant_id=tenant_id, name=name).first()
        if row is None:
            raise _unknown()
        _check_precondition(precondition, row)
        unfinished = LiveJob.objects.filter(tenant_id=tenant_id, type=name).count()
        if unfinished:
            detail = (
                f"The type has {unfinished} unfinished jobs, whose work would be lost; cancel them or let them end."
            )
            raise Conflict(detail)
        row.delete()
    log_event("job_type_deleted", tenant_id=tenant_id)


def find_job_type(tenant_id: UUID, name: str) -> JobTypeView | None:
    """The type of this name; None when the tenant has none."""
    if is_built_in(name):
        return _built_in_view(name)
    if not NAME.fullmatch(name):
        return None
    with tenant_tx(tenant_id):
        row = JobType.objects.filter(tenant_id=tenant_id, name=name).first()
    return None if row is None else _view(row)


def list_job_types(tenant_id: UUID, *, limit: int, cursor: str | None = None) -> JobTypePage:
    """The tenant's own types, the newest first, then those of every tenant by name.

    Raises `Invalid` for a cursor that is not of this list.
    """
    scope = CursorScope(tenant_id, "job-types", {})
    after = None if cursor is None else scope.read(cursor)
    with tenant_tx(tenant_id):
        rows = {row.name: row for row in JobType.objects.filter(tenant_id=tenant_id).order_by("-id")}
    names = [name for name in rows if not is_built_in(name)] + sorted({HTTP_REQUEST, *installed_handlers()})
    marks = [_mark(name) for name in names]
    if after is not None and after not in marks:
        raise Invalid([Fault("/cursor", "bad-cursor", "The list has changed; start again from its beginning.")])
    first = 0 if after is None else marks.index(after) + 1
    shown = names[first : first + limit]
    views = [_built_in_view(name) if is_built_in(name) else _view(rows[name]) for name in shown]
    return JobTypePage(views, scope.show(_mark(shown[-1])) if first + limit < len(names) else None)


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
            .only("tenant_id", "name", "executor", "handler", "defaults", "version")
            .annotate(has_schema=Q(payload_schema__isnull=False))
        )
        return resolved | {row.name: _resolve_row(row, has_schema=row.has_schema) for row in rows}


def http_target(tenant_id: UUID, name: str) -> HttpTarget | None:
    """Where the jobs of an http type go; None when the tenant has no such type. For a worker's role."""
    with tenants_tx([tenant_id]):
        row = JobType.objects.filter(tenant_id=tenant_id, name=name, executor="http").first()
    return None if row is None else _open_target(row)


def is_built_in(name: str) -> bool:
    """Whether the type belongs to every tenant, and to none to change."""
    return name == HTTP_REQUEST or name in installed_handlers()


def _unknown() -> NotFound:
    """The same for a name of nothing and another tenant's; it does not repeat the name."""
    return NotFound("There is no job type of this name.")


def _mark(name: str) -> bytes:
    """A name's place in a cursor: names are longer than a position, so a hash of it stands for it."""
    return hashlib.sha256(name.encode()).digest()[:_MARK_BYTES]


def _resolve_built_in(name: str) -> ResolvedType:
    view = _built_in_view(name)
    pool, schemas = POOLS[view.executor], handler_schema_keys(view.handler)
    return ResolvedType(name, view.executor, view.handler, pool, view.defaults, schemas)


def _resolve_row(row: JobType, *, has_schema: bool) -> ResolvedType:
    defaults = {**handler_defaults(row.handler), **row.defaults}
    # A type that is done by a handler keeps to the handler's schema as well as to its own.
    schemas = handler_schema_keys(row.handler)
    if has_schema:
        schemas += (TypeSchema(row.tenant_id, row.id, row.version),)
    return ResolvedType(row.name, row.executor, row.handler, POOLS[row.executor], defaults, schemas)


def _built_in_view(name: str) -> JobTypeView:
    if name == HTTP_REQUEST:
        return JobTypeView(None, name, "http", None, None, {})
    return JobTypeView(None, name, "handler", None, name, handler_defaults(name), handler_schema(name))


def _write(
    tenant_id: UUID, name: str, spec: JobTypeSpec, precondition: Precondition | None, max_types: int | None
) -> tuple[JobType, bool]:
    with tenant_tx(tenant_id):
        # Locked, so that the version that was judged is the one that is replaced.
        row = JobType.objects.select_for_update().filter(tenant_id=tenant_id, name=name).first()
        is_new = row is None
        _check_precondition(precondition, row)
        if row is None:
            _check_quota(tenant_id, max_types)
            row = JobType(id=new_id(), tenant_id=tenant_id, name=name, version=0)
        row.executor, row.handler, row.defaults = spec.executor, spec.handler, spec.defaults
        row.payload_schema = spec.payload_schema
        row.http_sealed = None if spec.http is None else _seal_target(row, spec.http)
        row.version += 1
        row.updated_at = Now()  # the database's clock, read back below
        row.save(force_insert=is_new, force_update=not is_new)
        row.refresh_from_db()
    return row, is_new


def _check_precondition(precondition: Precondition | None, row: JobType | None) -> None:
    if precondition is not None and not precondition(None if row is None else row.version):
        raise PreconditionFailed("The job type is not in the version that If-Match names.")


def _check_quota(tenant_id: UUID, max_types: int | None) -> None:
    if max_types is None:
        return
    # One at a time, until the commit, so that two new types do not both take the last place.
    run_statement(_SQL / "lock_job_types.sql", {"tenant": tenant_id})
    used = JobType.objects.filter(tenant_id=tenant_id).count()
    if used >= max_types:
        raise QuotaExceeded("job_types", limit=max_types, used=used)


def _seal_target(row: JobType, target: HttpTarget) -> bytes:
    return seal_column(row.tenant_id, table="job_type", column="http_sealed", row_id=row.id, plaintext=target.to_json())


def _open_target(row: JobType) -> HttpTarget | None:
    if row.http_sealed is None:
        return None
    sealed = bytes(row.http_sealed)
    return HttpTarget.from_json(
        open_column(row.tenant_id, table="job_type", column="http_sealed", row_id=row.id, sealed=sealed)
    )


def _view(row: JobType) -> JobTypeView:
    return JobTypeView(
        id=row.id,
        name=row.name,
        executor=row.executor,
        http=_open_target(row),
        handler=row.handler,
        payload_schema=row.payload_schema,
        defaults=row.defaults,
        on_crash=row.on_crash,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
