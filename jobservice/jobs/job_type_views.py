"""Job types as they are read: one, and pages of many. The built-in ones are every tenant's, and have no row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from jobservice.cursors import CursorScope
from jobservice.errors import Fault, Invalid
from jobservice.field_checks import NAME
from jobservice.jobs.http_endpoints import open_target, secret_name, signing_of
from jobservice.jobs.job_type_spec import HttpTarget
from jobservice.jobs.models import JobType
from jobservice.jobs.operator_handlers import handler_defaults, handler_schema, installed_handlers
from jobservice.jobs.schema_compiling import Schema
from jobservice.jobs.submission import HTTP_REQUEST
from jobservice.jobs.throttles import Throttles, read_throttles
from jobservice.webhooks.own_secrets import shown_public_key, shown_secret
from jobservice.webhooks.signing_choice import Signing
from tenants.context import tenant_tx

_MARK_BYTES = 16


@dataclass(frozen=True, slots=True)
class JobTypeView:
    """A type as it is stored. `id` is None for one that is built in. No two states of any types share a `revision`.

    `disabled_at` and `disabled_reason` are set while it is switched off, `throttled_until` while its endpoint is left
    alone, which the revision does not tell. `signing` is set of an http type with a row: `public_key` verifies what is
    signed by `v1a`; `secret` is given once, to who makes it.
    """

    id: UUID | None
    name: str
    revision: str
    executor: str
    http: HttpTarget | None
    handler: str | None
    defaults: dict[str, Any]
    payload_schema: Schema | None = None
    on_crash: str = "retry"
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    throttled_until: datetime | None = None
    signing: Signing | None = None
    public_key: str | None = None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class JobTypePage:
    """Part of the list of types. `next_cursor` is None at the end."""

    data: list[JobTypeView]
    next_cursor: str | None


def find_job_type(tenant_id: UUID, name: str) -> JobTypeView | None:
    """The type of this name; None when the tenant has none."""
    if is_built_in(name):
        return built_in_view(name)
    if not NAME.fullmatch(name):
        return None
    with tenant_tx(tenant_id):
        row = JobType.objects.filter(tenant_id=tenant_id, name=name).first()
        return None if row is None else view_type(row, read_throttles(tenant_id, [name]))


def list_job_types(tenant_id: UUID, *, limit: int, cursor: str | None = None) -> JobTypePage:
    """The tenant's own types, the newest first, then those of every tenant by name.

    Raises `Invalid` for a cursor that is not of this list.
    """
    scope = CursorScope(tenant_id, "job-types", {})
    after = None if cursor is None else scope.read(cursor)
    with tenant_tx(tenant_id):
        rows = {row.name: row for row in JobType.objects.filter(tenant_id=tenant_id).order_by("-id")}
        names = [name for name in rows if not is_built_in(name)] + sorted({HTTP_REQUEST, *installed_handlers()})
        first = _first_after(names, after)
        shown = names[first : first + limit]
        throttles = read_throttles(tenant_id, shown)
        views = [built_in_view(name) if is_built_in(name) else view_type(rows[name], throttles) for name in shown]
    return JobTypePage(views, scope.show(_mark(shown[-1])) if first + limit < len(names) else None)


def is_built_in(name: str) -> bool:
    """Whether the type belongs to every tenant, and to none to change."""
    return name == HTTP_REQUEST or name in installed_handlers()


def built_in_view(name: str) -> JobTypeView:
    """A type that every tenant has."""
    if name == HTTP_REQUEST:
        return JobTypeView(None, name, name, "http", None, None, {})
    defaults, schema = handler_defaults(name), handler_schema(name)
    # It has no row: what the operator's code says of it is all that can change.
    revision = f"{name} {json.dumps([defaults, schema], sort_keys=True)}"
    return JobTypeView(None, name, revision, "handler", None, name, defaults, schema)


def view_type(row: JobType, throttles: Throttles, *, secret: str | None = None) -> JobTypeView:
    """A type of the tenant as its row has it, with the secret that it has just got. In a transaction of the tenant.

    Raises `SealingError`.
    """
    signing = signing_of(row)
    return JobTypeView(
        id=row.id,
        name=row.name,
        revision=revision_of(row),
        executor=row.executor,
        http=open_target(row),
        handler=row.handler,
        payload_schema=row.payload_schema,
        defaults=row.defaults,
        on_crash=row.on_crash,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        throttled_until=throttles.get((row.name, row.version)),
        signing=signing if row.executor == "http" else None,
        public_key=shown_public_key(row.tenant_id, secret_name(row), signing),
        secret=shown_secret(secret, signing),
    )


def revision_of(row: JobType) -> str:
    """What the ETag stands for."""
    # The row's id: a version counts from 1 again when a type is deleted and made anew.
    return f"{row.id} {row.version} {row.disabled_at}" + (f" {row.secret_rotated_at}" if row.secret_rotated_at else "")


def _first_after(names: list[str], after: bytes | None) -> int:
    """Where the page begins: behind the name that the cursor marks."""
    if after is None:
        return 0
    marks = [_mark(name) for name in names]
    if after not in marks:
        raise Invalid([Fault("/cursor", "bad-cursor", "The list has changed; start again from its beginning.")])
    return marks.index(after) + 1


def _mark(name: str) -> bytes:
    """A name's place in a cursor: names are longer than a position, so a hash of it stands for it."""
    return hashlib.sha256(name.encode()).digest()[:_MARK_BYTES]
