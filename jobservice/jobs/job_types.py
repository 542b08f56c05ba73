"""Job types of a tenant: made, replaced and deleted. The operator's handlers and the built-in ones are every tenant's.

What may be said of one is in `job_type_spec.py`. `job_type_views.py` reads them, `type_resolution.py` answers what an
accept needs to know of one, `http_endpoints.py` what a call does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models.functions import Now

from jobservice.errors import Conflict, Fault, Invalid, NotFound, QuotaExceeded, SealingError
from jobservice.field_checks import NAME
from jobservice.ids import new_id
from jobservice.jobs.http_endpoints import seal_target, secret_name, signing_of
from jobservice.jobs.job_type_spec import JobTypeSpec, parse_job_type
from jobservice.jobs.job_type_views import JobTypeView, is_built_in, revision_of, view_type
from jobservice.jobs.models import JobType, LiveJob
from jobservice.jobs.operator_handlers import installed_handlers
from jobservice.jobs.throttles import forget_throttle, read_throttles
from jobservice.logs import log_event
from jobservice.preconditions import Precondition, check_precondition
from jobservice.statements import run_statement
from jobservice.webhooks.own_secrets import change_secret
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import tenant_keys
from tenants.quotas import DEFAULTS as DEFAULT_QUOTAS
from tenants.signing_secrets import forget_secrets, rotate_secret

_SQL = Path(__file__).resolve().parent / "sql"
_BUILT_IN = "{} is built in or installed by the operator, and cannot be changed."


class NoOwnSecret(Conflict):
    """The type signs with the tenant's default secret, which others verify with, too; or it signs nothing."""

    code = "no-own-secret"


def put_job_type(
    tenant_id: UUID,
    name: str,
    raw: object,
    *,
    precondition: Precondition | None = None,
    max_types: int | None = DEFAULT_QUOTAS["job_types"],
) -> tuple[JobTypeView, bool]:
    """Make or replace the tenant's type of this name; whether it is new. One that was switched off is on again,
    and one that was throttled is so no more. One that has a secret of its own keeps it while it wants one for the same
    scheme; a new one is in the view, this once.

    `precondition` judges the revision that is stored (None: there is none) while it is locked; `max_types` is how many
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
        view, is_new = _write(tenant_id, name, spec, precondition, max_types)
    except IntegrityError:
        # Of two first PUTs the later one finds the other's row now.
        view, is_new = _write(tenant_id, name, spec, precondition, max_types)
    log_event("job_type_put", tenant_id=tenant_id, outcome="created" if is_new else "replaced")
    return view, is_new


def delete_job_type(tenant_id: UUID, name: str, *, precondition: Precondition | None = None) -> None:
    """Forget the tenant's type of this name. `precondition` is as for `put_job_type`.

    Raises `NotFound`, `PreconditionFailed`, and `Conflict` for a built-in name or while it has unfinished jobs.
    A job that is accepted at the same moment is not seen: it ends as one whose type is gone.
    """
    with tenant_tx(tenant_id):
        row = _lock(tenant_id, name)
        _check_precondition(precondition, row)
        unfinished = LiveJob.objects.filter(tenant_id=tenant_id, type=name).count()
        if unfinished:
            detail = (
                f"The type has {unfinished} unfinished jobs, whose work would be lost; cancel them or let them end."
            )
            raise Conflict(detail)
        before = _unopened(row)
        forget_secrets(tenant_id, secret_name(row))
        row.delete()
        forget_throttle(tenant_id, name)
        note_act(tenant_id, "job-type.deleted", name, before=before)
    log_event("job_type_deleted", tenant_id=tenant_id)


def rotate_type_secret(tenant_id: UUID, name: str, *, overlap_seconds: int) -> JobTypeView:
    """Give the type a new secret of its own; the one until now signs beside it for the overlap.

    Raises `NotFound`, `Conflict` for a built-in name, and `NoOwnSecret`.
    """
    tenant_keys(tenant_id)  # loaded before the transaction that seals
    with tenant_tx(tenant_id):
        row = _lock(tenant_id, name)
        if not row.has_own_secret:
            raise NoOwnSecret("The type has no signing secret of its own; a PUT with http.signing.own gives it one.")
        secret = rotate_secret(tenant_id, secret_name(row), overlap_seconds=overlap_seconds)
        # Not a new version: its endpoint is the same, and what that said of itself holds.
        row.secret_rotated_at = row.updated_at = Now()  # the database's clock, read back below
        row.save(update_fields=["secret_rotated_at", "updated_at"])
        row.refresh_from_db()
        view = view_type(row, read_throttles(tenant_id, [name]), secret=secret)
        note_act(tenant_id, "job-type.secret-rotated", name)
    log_event("job_type_secret_rotated", tenant_id=tenant_id)
    return view


def _lock(tenant_id: UUID, name: str) -> JobType:
    """The tenant's type of this name. Raises `NotFound`, and `Conflict` for a built-in name."""
    if is_built_in(name):
        raise Conflict(_BUILT_IN.format(name))
    row = None
    if NAME.fullmatch(name):
        row = JobType.objects.select_for_update().filter(tenant_id=tenant_id, name=name).first()
    if row is None:
        # The same for a name of nothing and another tenant's; it does not repeat the name.
        raise NotFound("There is no job type of this name.")
    return row


def _write(
    tenant_id: UUID, name: str, spec: JobTypeSpec, precondition: Precondition | None, max_types: int | None
) -> tuple[JobTypeView, bool]:
    with tenant_tx(tenant_id):
        # Locked, so that the version that was judged is the one that is replaced.
        row = JobType.objects.select_for_update().filter(tenant_id=tenant_id, name=name).first()
        is_new = row is None
        _check_precondition(precondition, row)
        if row is None:
            _check_quota(tenant_id, max_types)
            row = JobType(id=new_id(), tenant_id=tenant_id, name=name, version=0)
        before = None if is_new else _readable(row)
        row.executor, row.handler, row.defaults = spec.executor, spec.handler, spec.defaults
        row.payload_schema, row.on_crash = spec.payload_schema, spec.on_crash
        row.http_sealed = None if spec.http is None else seal_target(row, spec.http)
        secret = change_secret(tenant_id, secret_name(row), old=signing_of(row), new=spec.signing)
        row.scheme, row.has_own_secret = spec.signing["scheme"], spec.signing["own"]
        row.secret_rotated_at = None
        row.disabled_at = row.disabled_reason = None
        row.version += 1
        row.updated_at = Now()  # the database's clock, read back below
        row.save(force_insert=is_new, force_update=not is_new)
        row.refresh_from_db()
        # Nobody has called this version yet.
        view = view_type(row, {}, secret=secret)
        action = "job-type.created" if is_new else "job-type.updated"
        note_act(tenant_id, action, name, before=before, after=view)
        return view, is_new


def _readable(row: JobType) -> JobTypeView | dict[str, Any]:
    """The type, for the audit log; without its target when that does not open, for a PUT is what mends it."""
    try:
        return view_type(row, {})
    except SealingError:
        return _unopened(row)


def _unopened(row: JobType) -> dict[str, Any]:
    """The type as it is stored now, its target left sealed."""
    return {**vars(row), "signing": signing_of(row) if row.executor == "http" else None}


def _check_precondition(precondition: Precondition | None, row: JobType | None) -> None:
    check_precondition(precondition, None if row is None else revision_of(row), what="job type")


def _check_quota(tenant_id: UUID, max_types: int | None) -> None:
    if max_types is None:
        return
    # One at a time, until the commit, so that two new types do not both take the last place.
    run_statement(_SQL / "lock_job_types.sql", {"tenant": tenant_id})
    used = JobType.objects.filter(tenant_id=tenant_id).count()
    if used >= max_types:
        raise QuotaExceeded("job_types", limit=max_types, used=used)
