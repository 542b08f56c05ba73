"""Job types: what a type's name stands for. The operator's handlers and the built-in types belong to every tenant."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models.functions import Now

from jobservice.errors import Conflict, Fault, Invalid, JobserviceError
from jobservice.handlers import builtin as _builtin  # noqa: F401 (registers echo, sleep and fail)
from jobservice.handlers.registry import find_handler, handler_names, load_handlers
from jobservice.ids import new_id
from jobservice.jobs.cursors import CursorScope
from jobservice.jobs.field_checks import NAME
from jobservice.jobs.job_type_spec import HttpTarget, JobTypeSpec, parse_job_type
from jobservice.jobs.models import JobType
from jobservice.jobs.submission import HTTP_REQUEST
from jobservice.logs import log_event
from tenants.context import tenant_tx, tenants_tx
from tenants.data_keys import open_column, seal_column, tenant_keys

POOLS = {"http": "egress", "handler": "handlers"}

_MARK_BYTES = 16

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


@dataclass(frozen=True, slots=True)
class JobTypeView:
    """A type as it is stored. `id` is None for one that is built in; `version` is 0 then."""

    id: UUID | None
    name: str
    executor: str
    http: HttpTarget | None
    handler: str | None
    defaults: dict[str, Any]
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
    tenant_id: UUID, name: str, raw: object, *, precondition: Precondition | None = None
) -> tuple[JobTypeView, bool]:
    """Make or replace the tenant's type of this name; whether it is new.

    `precondition` judges the version that is stored (None: there is none) while it is locked.
    Raises `Invalid`, `EgressRefused`, `Conflict` for a built-in name, and `PreconditionFailed`.
    """
    if not NAME.fullmatch(name):
        raise Invalid([Fault("/name", "bad-format", "A name is a-z or 0-9, then at most 99 of a-z, 0-9, . _ and -.")])
    if is_built_in(name):
        raise Conflict(f"{name} is built in or installed by the operator, and cannot be changed.")
    spec = parse_job_type(raw, handlers=_handlers())
    tenant_keys(tenant_id)  # loaded before the transaction that seals
    try:
        row, is_new = _write(tenant_id, name, spec, precondition)
    except IntegrityError:
        # Of two first PUTs the later one finds the other's row now.
        row, is_new = _write(tenant_id, name, spec, precondition)
    log_event("job_type_put", tenant_id=tenant_id, outcome="created" if is_new else "replaced")
    return _view(row), is_new


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
    names = [name for name in rows if not is_built_in(name)] + sorted({HTTP_REQUEST, *_handlers()})
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
        rows = JobType.objects.filter(tenant_id=tenant_id, name__in=own).only("name", "executor", "handler", "defaults")
        return resolved | {row.name: _resolve_row(row) for row in rows}


def http_target(tenant_id: UUID, name: str) -> HttpTarget | None:
    """Where the jobs of an http type go; None when the tenant has no such type. For a worker's role."""
    with tenants_tx([tenant_id]):
        row = JobType.objects.filter(tenant_id=tenant_id, name=name, executor="http").first()
    return None if row is None else _open_target(row)


def is_built_in(name: str) -> bool:
    """Whether the type belongs to every tenant, and to none to change."""
    return name == HTTP_REQUEST or name in _handlers()


def load_operator_handlers() -> None:
    """Import the handlers now rather than in the first request. Raises `ConfigurationError`."""
    _handlers()


@lru_cache(maxsize=1)
def _handlers() -> frozenset[str]:
    load_handlers(settings.ENVIRONMENT.handlers)
    return frozenset(handler_names())


def _mark(name: str) -> bytes:
    """A name's place in a cursor: names are longer than a position, so a hash of it stands for it."""
    return hashlib.sha256(name.encode()).digest()[:_MARK_BYTES]


def _handler_defaults(name: str | None) -> dict[str, Any]:
    handler = find_handler(name) if name else None
    if handler is None:
        return {}
    known = {"timeout_seconds": handler.timeout_seconds, "max_attempts": handler.max_attempts}
    return {option: value for option, value in known.items() if value is not None}


def _resolve_built_in(name: str) -> ResolvedType:
    view = _built_in_view(name)
    return ResolvedType(name, view.executor, view.handler, POOLS[view.executor], view.defaults)


def _resolve_row(row: JobType) -> ResolvedType:
    defaults = {**_handler_defaults(row.handler), **row.defaults}
    return ResolvedType(row.name, row.executor, row.handler, POOLS[row.executor], defaults)


def _built_in_view(name: str) -> JobTypeView:
    if name == HTTP_REQUEST:
        return JobTypeView(None, name, "http", None, None, {})
    return JobTypeView(None, name, "handler", None, name, _handler_defaults(name))


def _write(tenant_id: UUID, name: str, spec: JobTypeSpec, precondition: Precondition | None) -> tuple[JobType, bool]:
    with tenant_tx(tenant_id):
        # Locked, so that the version that was judged is the one that is replaced.
        row = JobType.objects.select_for_update().filter(tenant_id=tenant_id, name=name).first()
        is_new = row is None
        if precondition is not None and not precondition(None if row is None else row.version):
            raise PreconditionFailed("The job type is not in the version that If-Match names.")
        if row is None:
            row = JobType(id=new_id(), tenant_id=tenant_id, name=name, version=0)
        row.executor, row.handler, row.defaults = spec.executor, spec.handler, spec.defaults
        row.http_sealed = None if spec.http is None else _seal_target(row, spec.http)
        row.version += 1
        row.updated_at = Now()  # the database's clock, read back below
        row.save(force_insert=is_new, force_update=not is_new)
        row.refresh_from_db()
    return row, is_new


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
        defaults=row.defaults,
        on_crash=row.on_crash,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
