"""Webhook endpoints of a tenant: made, read, changed, tested and removed.

What may be said of one is in `endpoint_spec.py`, what is sealed of it in `endpoint_secrets.py`; `events.py` makes the
deliveries to it, and `deliveries.py` brings them there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast
from uuid import UUID

from django.db.models.functions import Now

from jobservice.cursors import CursorScope
from jobservice.errors import NotFound, QuotaExceeded
from jobservice.ids import ENDPOINT, new_id, show_id
from jobservice.logs import log_event
from jobservice.preconditions import Precondition, check_precondition
from jobservice.statements import run_statement
from jobservice.webhooks.endpoint_secrets import EndpointTarget, open_target, seal_target, secret_name
from jobservice.webhooks.endpoint_spec import Settings
from jobservice.webhooks.event_types import TEST
from jobservice.webhooks.events import tell_endpoint
from jobservice.webhooks.models import WebhookEndpoint
from jobservice.webhooks.own_secrets import change_secret, shown_public_key, shown_secret
from jobservice.webhooks.signing import Scheme
from jobservice.webhooks.signing_choice import Signing
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import tenant_keys
from tenants.quotas import DEFAULTS as DEFAULT_QUOTAS
from tenants.signing_secrets import create_secret, forget_secrets, rotate_secret

_SQL = Path(__file__).resolve().parent / "sql"


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An endpoint as it is. No two versions of any endpoints share a `revision`.

    `secret` is given once, to who makes it; `public_key` verifies what is signed by `v1a`.
    """

    id: UUID
    revision: str
    settings: Settings = field(repr=False)
    status_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    public_key: str | None = None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """Part of the list of endpoints. `next_cursor` is None at the end."""

    data: list[EndpointView]
    next_cursor: str | None


def create_endpoint(
    tenant_id: UUID, settings: Settings, *, max_endpoints: int | None = DEFAULT_QUOTAS["webhook_endpoints"]
) -> EndpointView:
    """Make an endpoint with all these settings. Raises `QuotaExceeded`."""
    tenant_keys(tenant_id)  # loaded before the transaction that seals
    row = WebhookEndpoint(id=new_id(), tenant_id=tenant_id)
    with tenant_tx(tenant_id):
        if max_endpoints is not None:
            run_statement(_SQL / "lock_endpoints.sql", {"tenant": tenant_id})
            used = count_endpoints(tenant_id)
            if used >= max_endpoints:
                raise QuotaExceeded("webhook_endpoints", limit=max_endpoints, used=used)
        secret = _apply(row, settings)
        row.save(force_insert=True)
        row.refresh_from_db()
        view = _view(row, secret=secret)
        _note_act("created", row.id, tenant_id, after=view)
    log_event("endpoint_changed", tenant_id=tenant_id, endpoint_id=row.id, outcome="created")
    return view


def count_endpoints(tenant_id: UUID) -> int:
    """How many the tenant has. In a transaction of the tenant."""
    return WebhookEndpoint.objects.filter(tenant_id=tenant_id).count()


def find_endpoint(tenant_id: UUID, endpoint_id: UUID) -> EndpointView | None:
    """The endpoint of this id; None when the tenant has none."""
    with tenant_tx(tenant_id):
        row = WebhookEndpoint.objects.filter(tenant_id=tenant_id, id=endpoint_id).first()
        return None if row is None else _view(row)


def has_endpoint(tenant_id: UUID, endpoint_id: UUID) -> bool:
    """Whether the tenant has an endpoint of this id. In a transaction of the tenant."""
    return WebhookEndpoint.objects.filter(tenant_id=tenant_id, id=endpoint_id).exists()


def list_endpoints(tenant_id: UUID, *, limit: int, cursor: str | None = None) -> EndpointPage:
    """A page of the tenant's endpoints, the newest first. Raises `Invalid` for a cursor that is not of this list."""
    scope = CursorScope(tenant_id, "webhook-endpoints", {})
    rows = WebhookEndpoint.objects.filter(tenant_id=tenant_id).order_by("-id")
    if cursor is not None:
        rows = rows.filter(id__lt=UUID(bytes=scope.read(cursor)))
    with tenant_tx(tenant_id):
        found = list(rows[: limit + 1])
        views = [_view(row) for row in found[:limit]]
    return EndpointPage(views, scope.show(found[limit - 1].id.bytes) if len(found) > limit else None)


def change_endpoint(
    tenant_id: UUID, endpoint_id: UUID, changes: Settings, *, precondition: Precondition | None = None
) -> EndpointView:
    """Give the endpoint these settings. Enabled again, it is told of all that was held for it; enabled or with another
    address, other headers or another signature, it rests no more: what it refused may be what was changed.

    Raises `NotFound` and `PreconditionFailed`.
    """
    tenant_keys(tenant_id)
    with tenant_tx(tenant_id):
        row = _lock(tenant_id, endpoint_id, precondition)
        before = _view(row)
        secret = _apply(row, changes)
        _write_version(row)
        view = _view(row, secret=secret)
        _note_act("updated", endpoint_id, tenant_id, before=before, after=view)
    if changes.keys() & {"url", "headers", "signing"} or changes.get("status") == "enabled":
        with tenant_tx(tenant_id):
            run_statement(_SQL / "end_rest.sql", {"tenant": tenant_id, "endpoint": endpoint_id})
    log_event("endpoint_changed", tenant_id=tenant_id, endpoint_id=endpoint_id, outcome="changed")
    return view


def delete_endpoint(tenant_id: UUID, endpoint_id: UUID, *, precondition: Precondition | None = None) -> None:
    """Remove the endpoint and its own secret; what was on its way to it has failed. Raises as `change_endpoint`."""
    with tenant_tx(tenant_id):
        row = _lock(tenant_id, endpoint_id, precondition)
        row.delete()
        forget_secrets(tenant_id, secret_name(endpoint_id))
        # The row, not a view: one whose address does not open any more can still be deleted.
        note_act(tenant_id, "endpoint.deleted", show_id(ENDPOINT, endpoint_id), before=row)
    log_event("endpoint_changed", tenant_id=tenant_id, endpoint_id=endpoint_id, outcome="deleted")


def rotate_endpoint_secret(tenant_id: UUID, endpoint_id: UUID, *, overlap_seconds: int) -> EndpointView:
    """Give the endpoint a new secret of its own; the one until now signs beside it for the overlap.

    One that signed with the tenant's default secret has its own from now on, at once. Raises `NotFound`.
    """
    tenant_keys(tenant_id)
    with tenant_tx(tenant_id):
        row = _lock(tenant_id, endpoint_id, None)
        name = secret_name(endpoint_id)
        if row.has_own_secret:
            secret = rotate_secret(tenant_id, name, overlap_seconds=overlap_seconds)
        else:
            secret = create_secret(tenant_id, name)
            row.has_own_secret = True
        _write_version(row)
        view = _view(row, secret=secret)
        _note_act("secret-rotated", endpoint_id, tenant_id)
    log_event("endpoint_changed", tenant_id=tenant_id, endpoint_id=endpoint_id, outcome="rotated")
    return view


def send_test_event(tenant_id: UUID, endpoint_id: UUID) -> UUID:
    """Send the endpoint an event of the type `webhook.test`, whatever it is told of; the delivery's id.

    Raises `NotFound`.
    """
    with tenant_tx(tenant_id):
        row = _lock(tenant_id, endpoint_id, None)
        delivery_id = tell_endpoint(tenant_id, row.id, TEST, {"endpoint": {"id": show_id(ENDPOINT, row.id)}})
        _note_act("tested", endpoint_id, tenant_id)
        return delivery_id


def unknown_endpoint() -> NotFound:
    """The same for an id of nothing and another tenant's."""
    return NotFound("There is no webhook endpoint of this id.")


def _note_act(
    act: str,
    endpoint_id: UUID,
    tenant_id: UUID,
    *,
    before: EndpointView | None = None,
    after: EndpointView | None = None,
) -> None:
    """Only of the settings: a view may hold the secret."""
    note_act(
        tenant_id,
        f"endpoint.{act}",
        show_id(ENDPOINT, endpoint_id),
        before=before and before.settings,
        after=after and after.settings,
    )


def _lock(tenant_id: UUID, endpoint_id: UUID, precondition: Precondition | None) -> WebhookEndpoint:
    row = WebhookEndpoint.objects.select_for_update().filter(tenant_id=tenant_id, id=endpoint_id).first()
    if row is None:
        raise unknown_endpoint()
    check_precondition(precondition, _revision(row), what="webhook endpoint")
    return row


def _apply(row: WebhookEndpoint, settings: Settings) -> str | None:
    """Write the settings into the row, not yet stored; the secret of its own, if it has just got one."""
    for name in ("events", "queues", "types", "status"):
        if name in settings:
            setattr(row, name, settings[name])
    if "status" in settings:
        row.status_reason = row.failing_since = None
    if "url" in settings or "headers" in settings:
        target = open_target(row.tenant_id, row.id, _Sealed(row)) if row.url_sealed else EndpointTarget("")
        changed = EndpointTarget(settings.get("url", target.url), settings.get("headers", target.headers))
        row.url_sealed, row.headers_sealed = seal_target(row.tenant_id, row.id, changed)
    return _apply_signing(row, settings["signing"]) if "signing" in settings else None


def _apply_signing(row: WebhookEndpoint, signing: Signing) -> str | None:
    secret = change_secret(row.tenant_id, secret_name(row.id), old=_signing(row), new=signing)
    row.scheme, row.has_own_secret = signing["scheme"], signing["own"]
    return secret


def _signing(row: WebhookEndpoint) -> Signing:
    return {"scheme": cast(Scheme, row.scheme), "own": row.has_own_secret}


def _write_version(row: WebhookEndpoint) -> None:
    row.revision += 1
    row.updated_at = Now()  # the database's clock, read back below
    row.save(force_update=True)
    row.refresh_from_db()


class _Sealed:
    """The row as `open_target` wants it."""

    def __init__(self, row: WebhookEndpoint) -> None:
        self.url = bytes(row.url_sealed)
        self.headers = None if row.headers_sealed is None else bytes(row.headers_sealed)


def _revision(row: WebhookEndpoint) -> str:
    return f"{row.id} {row.revision}"


def _view(row: WebhookEndpoint, *, secret: str | None = None) -> EndpointView:
    target = open_target(row.tenant_id, row.id, _Sealed(row))
    signing = _signing(row)
    return EndpointView(
        id=row.id,
        revision=_revision(row),
        settings={
            "url": target.url,
            "events": row.events,
            "queues": row.queues,
            "types": row.types,
            "headers": target.headers,
            "signing": signing,
            "status": row.status,
        },
        status_reason=row.status_reason,
        failing_since=row.failing_since,
        created_at=row.created_at,
        updated_at=row.updated_at,
        public_key=shown_public_key(row.tenant_id, secret_name(row.id), signing),
        secret=shown_secret(secret, signing),
    )
