"""The versions of a tenant's data key: a new one begins to seal, an old one is retired and opens nothing any more.

What is sealed under the old one is sealed anew in between; see `jobservice/jobs/resealing.py`. The index key, under
which lock names are hashed, never rotates: a rotation would forget every lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import ExpressionWrapper, F, FloatField, Max
from django.db.models.functions import Extract, Now

from jobservice.errors import NotFound
from jobservice.ids import TENANT, show_id
from jobservice.logs import log_event
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.data_keys import DATA, forget_opened_keys, make_key, store_key
from tenants.key_changes import note_key_change
from tenants.models import DataKey, Tenant


@dataclass(frozen=True, slots=True)
class Rotation:
    """Under way from the version before to this one. `is_resumed`: the version was there, left by a run cut short."""

    tenant_id: UUID
    version: int
    is_resumed: bool


def begin_rotation(tenant_id: UUID) -> Rotation:
    """Make the next version, which seals in every process within a second; or find that an earlier run made it."""
    with tenant_tx(tenant_id):
        newest = _newest_version(tenant_id)
    # Before the transaction, for to wrap it may be a call over the network.
    key = make_key(tenant_id, purpose=DATA, version=newest + 1)
    with tenant_tx(tenant_id):
        # Locked, so that two runs agree on one version. Accepts share their lane, not the tenant, and do not wait.
        tenant = Tenant.objects.select_for_update(no_key=True).get(id=tenant_id)
        newest = _newest_version(tenant_id)
        if not newest:
            raise NotFound(f"The tenant {tenant.name!r} has no keys any more.")
        if tenant.min_open_version < newest:
            return Rotation(tenant_id, newest, is_resumed=True)
        # Overtaken by a whole rotation since: seldom enough for a call in here.
        store_key(key if key.version == newest + 1 else make_key(tenant_id, purpose=DATA, version=newest + 1))
        note_key_change()
        _note_act(tenant_id, "tenant.key-rotated", newest + 1)
    forget_opened_keys(tenant_id)
    log_event("tenant_key_rotated", tenant_id=str(tenant_id))
    return Rotation(tenant_id, newest + 1, is_resumed=False)


def _newest_version(tenant_id: UUID) -> int:
    """0 when there is none."""
    rows = DataKey.objects.filter(tenant_id=tenant_id, purpose=DATA)
    return int(rows.aggregate(newest=Max("version"))["newest"] or 0)


def seconds_since_began(rotation: Rotation) -> float:
    """How long the new version has been there, by the database's clock."""
    age = ExpressionWrapper(Extract(Now() - F("created_at"), "epoch"), output_field=FloatField())
    with tenant_tx(rotation.tenant_id):
        rows = DataKey.objects.filter(tenant_id=rotation.tenant_id, purpose=DATA, version=rotation.version)
        return float(rows.annotate(age=age).values_list("age", flat=True).get())


def retire_older_versions(rotation: Rotation) -> None:
    """Refuse, in every process within a second, to open what is sealed under a version before this one."""
    with tenant_tx(rotation.tenant_id):
        Tenant.objects.filter(id=rotation.tenant_id, min_open_version__lt=rotation.version).update(
            min_open_version=rotation.version
        )
        note_key_change()
        _note_act(rotation.tenant_id, "tenant.key-retired", rotation.version)
    forget_opened_keys(rotation.tenant_id)
    log_event("tenant_key_retired", tenant_id=str(rotation.tenant_id))


def _note_act(tenant_id: UUID, action: str, version: int) -> None:
    note_act(tenant_id, action, show_id(TENANT, tenant_id), after={"key_version": version})
