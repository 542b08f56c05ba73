"""What a key or a member may do to the tenant's keys: make, list, rotate and revoke them, never beyond own rights.

Every change holds one lock of the tenant's keys, and looks again whether the actor still may: a key that is being
revoked makes no successor, and two keys made at once do not both take the last place of the quota.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from jobservice.errors import Conflict, Fault, Forbidden, Invalid, QuotaExceeded
from jobservice.ids import API_KEY, show_id
from jobservice.logs import log_event
from tenants.api_key_actors import KeyActor
from tenants.api_key_format import new_secret_for
from tenants.api_key_rights import KeyRights
from tenants.api_keys import LIVE, create_api_key
from tenants.audit import note_act
from tenants.context import tenant_tx
from tenants.models import ApiKey
from tenants.quotas import limit_of

MAX_OVERLAP_SECONDS = 7 * 86_400
# Keys that are over stay in the list, but not without end.
DEAD_KEYS_KEPT = 100


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key as it is stored after a change, and its text, which is not to be had again."""

    key: ApiKey
    text: str = field(repr=False)


def make_api_key(actor: KeyActor, *, name: str, rights: KeyRights) -> ShownKey:
    """Make a key of the actor's tenant.

    Raises `Invalid`, `Forbidden` when the key could do more than the actor, and `QuotaExceeded`.
    """
    check_rights(actor, rights)
    with tenant_tx(actor.tenant_id):
        _lock_keys(actor)
        _check_future(rights.expires_at)
        _check_quota(actor)
        _forget_dead_keys(actor.tenant_id)
        key_id, text = create_api_key(
            actor.tenant_id,
            name=name,
            scopes=sorted(rights.scopes),
            queues=rights.queues,
            cidrs=rights.cidrs,
            expires_at=rights.expires_at,
        )
        shown = ShownKey(ApiKey.objects.get(tenant_id=actor.tenant_id, id=key_id), text)
    log_event("api_key_made", tenant_id=str(actor.tenant_id))
    return shown


def check_rights(actor: KeyActor, rights: KeyRights) -> None:
    """Pass when the actor may make or hold a key of these rights. Raises `Forbidden`."""
    _refuse(actor.find_excess(rights))


def list_api_keys(tenant_id: UUID, *, limit: int, before: UUID | None = None) -> list[ApiKey]:
    """The tenant's keys, the newest first, from those older than `before`."""
    keys = ApiKey.objects.filter(tenant_id=tenant_id).order_by("-id")
    with tenant_tx(tenant_id):
        return list((keys if before is None else keys.filter(id__lt=before))[:limit])


def find_key(tenant_id: UUID, key_id: UUID) -> ApiKey | None:
    """The key of this id; None when the tenant has none."""
    with tenant_tx(tenant_id):
        return ApiKey.objects.filter(tenant_id=tenant_id, id=key_id).first()


def rotate_api_key(actor: KeyActor, key_id: UUID, *, overlap_seconds: int = 0) -> ShownKey | None:
    """Give the key a new text; the old one works for `overlap_seconds` more. None when there is no such key.

    A text that was rotated out before ends now. Whoever rotates a key holds it, so it must be within the actor's
    rights like a new one. Raises `Forbidden`, and `Conflict` for a key that is over.
    """
    with tenant_tx(actor.tenant_id):
        _lock_keys(actor)
        key = _find_locked(actor.tenant_id, key_id)
        if key is None:
            return None
        check_rights(actor, _rights_of(key))
        own = ApiKey.objects.filter(tenant_id=actor.tenant_id, id=key_id)
        if not own.filter(LIVE).exists():
            raise Conflict("The API key is revoked or expired; make a new one.")
        new = new_secret_for(key.lookup_id)
        has_overlap = overlap_seconds > 0
        own.update(
            secret_hash=new.secret_hash,
            rotated_at=Now(),
            previous_secret_hash=F("secret_hash") if has_overlap else None,
            previous_valid_until=Now() + timedelta(seconds=overlap_seconds) if has_overlap else None,
        )
        shown = ShownKey(own.get(), new.text)
        note_act(actor.tenant_id, "api-key.rotated", show_id(API_KEY, key_id), before=key, after=shown.key)
    log_event("api_key_rotated", tenant_id=str(actor.tenant_id))
    return shown


def revoke_api_key(actor: KeyActor, key_id: UUID) -> bool:
    """End the key at once, everywhere; whether there is such a key. Again, it changes nothing.

    Raises `Forbidden` for a key that the actor may not end.
    """
    with tenant_tx(actor.tenant_id):
        _lock_keys(actor)
        key = _find_locked(actor.tenant_id, key_id)
        if key is None:
            return False
        _refuse(actor.find_end_excess(frozenset(key.scopes)))
        living = ApiKey.objects.filter(tenant_id=actor.tenant_id, id=key_id, revoked_at__isnull=True)
        if living.update(revoked_at=Now()):
            note_act(actor.tenant_id, "api-key.revoked", show_id(API_KEY, key_id), before=key)
    log_event("api_key_revoked", tenant_id=str(actor.tenant_id))
    return True


def _lock_keys(actor: KeyActor) -> None:
    """One change of a tenant's keys at a time, until the end of the transaction; the actor still lives."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"api_key {actor.tenant_id}"])
    if not actor.is_living():
        raise Forbidden(actor.over)


def _find_locked(tenant_id: UUID, key_id: UUID) -> ApiKey | None:
    return ApiKey.objects.select_for_update(no_key=True).filter(tenant_id=tenant_id, id=key_id).first()


def _rights_of(key: ApiKey) -> KeyRights:
    queues = None if key.queues is None else tuple(key.queues)
    cidrs = None if key.cidrs is None else tuple(key.cidrs)
    return KeyRights(frozenset(key.scopes), queues, cidrs, key.expires_at)


def _refuse(excess: str | None) -> None:
    if excess is not None:
        raise Forbidden(excess)


def count_api_keys(tenant_id: UUID) -> int:
    """How many keys of the tenant are good for something, as its quota counts them; in its transaction."""
    return ApiKey.objects.filter(LIVE, tenant_id=tenant_id).count()


def _check_future(expires_at: datetime | None) -> None:
    """By the database's clock, as the end itself will be judged."""
    if expires_at is None:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s > clock_timestamp()", [expires_at])
        if not cursor.fetchone()[0]:
            raise Invalid([Fault("/expires_at", "out-of-range", "expires_at must be in the future.")])


def _check_quota(actor: KeyActor) -> None:
    quotas = actor.read_quotas()
    limit = limit_of(quotas, "api_keys")
    used = count_api_keys(actor.tenant_id)
    if limit is not None and used >= limit:
        raise QuotaExceeded("api_keys", limit=limit, used=used)


def _forget_dead_keys(tenant_id: UUID) -> None:
    """Remove the keys that were over first, so that making and revoking keys without end fills no table."""
    dead = ApiKey.objects.filter(~LIVE, tenant_id=tenant_id).order_by(Coalesce("revoked_at", "expires_at").desc())
    ApiKey.objects.filter(id__in=list(dead.values_list("id", flat=True)[DEAD_KEYS_KEPT:]), tenant_id=tenant_id).delete()
