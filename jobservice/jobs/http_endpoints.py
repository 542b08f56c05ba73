"""Where the jobs of an http type go, and what signs their calls: sealed at rest, opened for the worker that calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from jobservice.errors import SealingError
from jobservice.ids import JOB_TYPE, show_id
from jobservice.jobs.job_type_spec import HttpTarget
from jobservice.jobs.models import JobType
from jobservice.webhooks.own_secrets import receiver_secrets
from jobservice.webhooks.signing import Scheme
from jobservice.webhooks.signing_choice import Signing
from tenants.context import tenants_tx
from tenants.data_keys import open_column, seal_column


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """Where the jobs of an http type go, in which version of the type, and whether they go anywhere now.

    `secrets` sign each call by `scheme`, the newest first.
    """

    target: HttpTarget = field(repr=False)
    version: int
    is_disabled: bool = False
    scheme: Scheme = "v1"
    secrets: tuple[str, ...] = field(default=(), repr=False)


def http_endpoint(tenant_id: UUID, name: str) -> HttpEndpoint | None:
    """Where the jobs of an http type go; None when the tenant has no such type. For a worker's role.

    Raises `SealingError`.
    """
    with tenants_tx([tenant_id]):
        try:
            return _read_endpoint(tenant_id, name)
        except SealingError:
            # A PUT that came between the statements may have taken the type's secret away. Its row tells by now.
            return _read_endpoint(tenant_id, name)


def _read_endpoint(tenant_id: UUID, name: str) -> HttpEndpoint | None:
    row = JobType.objects.filter(tenant_id=tenant_id, name=name, executor="http").first()
    target = None if row is None else open_target(row)
    if row is None or target is None:
        return None
    signing = signing_of(row)
    secrets = tuple(receiver_secrets(tenant_id, secret_name(row), signing))
    return HttpEndpoint(target, row.version, row.disabled_at is not None, signing["scheme"], secrets)


def signing_of(row: JobType) -> Signing:
    """How calls of the type are signed."""
    return {"scheme": cast(Scheme, row.scheme), "own": row.has_own_secret}


def secret_name(row: JobType) -> str:
    """The name under which the type's own signing secrets are kept; a type made anew has another."""
    return show_id(JOB_TYPE, row.id)


def seal_target(row: JobType, target: HttpTarget) -> bytes:
    """The one sealed document of address and headers."""
    return seal_column(row.tenant_id, table="job_type", column="http_sealed", row_id=row.id, plaintext=target.to_json())


def open_target(row: JobType) -> HttpTarget | None:
    """What `seal_target` sealed; None of a type that is not http. Raises `SealingError`."""
    if row.http_sealed is None:
        return None
    sealed = bytes(row.http_sealed)
    return HttpTarget.from_json(
        open_column(row.tenant_id, table="job_type", column="http_sealed", row_id=row.id, sealed=sealed)
    )
