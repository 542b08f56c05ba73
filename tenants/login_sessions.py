"""The sessions of an account: listed for whoever they belong to, and ended. How one is kept, the console knows.

An account has an epoch, which rises when its sessions end: for another password, other factors, or a wish. Sessions
belong to the epoch in which their proof was looked at, and so does a login on its way to one: those of an earlier epoch
are over, also when they are written only after the others were ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from jobservice.logs import log_event
from tenants.models import Account, LoginSession


def list_sessions(account_id: UUID) -> Sequence[LoginSession]:
    """Those that still open something, the last used first."""
    idle = timedelta(seconds=settings.ENVIRONMENT.session_idle_seconds)
    living = LoginSession.objects.filter(account_id=account_id, expires_at__gt=Now(), last_seen_at__gt=Now() - idle)
    return list(living.order_by("-last_seen_at"))


def end_session(account_id: UUID, key_hash: str) -> bool:
    """End one of the account's; whether it was there."""
    deleted, _ = LoginSession.objects.filter(account_id=account_id, key_hash=key_hash).delete()
    return deleted > 0


def end_sessions(account_id: UUID, *, kept: str | None = None) -> int:
    """End all of the account's, and logins on their way, but the session with the hash `kept`; how many there were."""
    with transaction.atomic():
        Account.objects.filter(id=account_id).update(login_epoch=F("login_epoch") + 1)
        deleted, _ = LoginSession.objects.filter(account_id=account_id).exclude(key_hash=kept or "").delete()
        if kept is not None:
            epoch = Account.objects.values_list("login_epoch", flat=True).get(id=account_id)
            LoginSession.objects.filter(account_id=account_id, key_hash=kept).update(login_epoch=epoch)
    log_event("sessions_ended", account_id=account_id, count=deleted)
    return deleted


def end_everybodys_sessions() -> int:
    """End all of all accounts, and logins on their way; how many there were."""
    with transaction.atomic():
        Account.objects.update(login_epoch=F("login_epoch") + 1)
        deleted, _ = LoginSession.objects.all().delete()
    log_event("sessions_ended", level="warning", count=deleted)
    return deleted


def end_sessions_in_tenant(account_id: UUID, tenant_id: UUID) -> int:
    """End those of an account that are in this tenant; how many there were."""
    deleted, _ = LoginSession.objects.filter(account_id=account_id, data__tenant=str(tenant_id)).delete()
    log_event("sessions_ended", account_id=account_id, tenant_id=tenant_id, count=deleted)
    return deleted


def forget_old_sessions() -> None:
    """Remove those whose time is over."""
    LoginSession.objects.filter(expires_at__lte=Now()).delete()
