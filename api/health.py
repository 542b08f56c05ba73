"""Probes: is the process up, and can it do its work now."""

from __future__ import annotations

from functools import lru_cache

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.draining import is_draining
from api.problems import problem_response
from api.views import PublicView
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, SealingError, Unavailable
from tenants.models import Installation
from tenants.root_keys import is_root_key_of, root_key_provider, root_keyring

RETRY_AFTER_SECONDS = 2


class Health(PublicView):
    def get(self, request: Request) -> Response:
        """The process answers. Nothing else is looked at, so that a database's outage restarts no process."""
        return Response({"status": "ok"})


class Readiness(PublicView):
    def get(self, request: Request) -> HttpResponseBase:
        """200, or 503 with a sentence about what is not ready.

        While the service that keeps the root key is away, and keys that were opened before still serve, it is 200 with
        a `warning`: a process that is taken out for it would help nobody.
        """
        try:
            fault = "The process is stopping." if is_draining() else _find_fault()
        except KeyProviderAway as away:
            if root_key_provider().has_kept:
                return Response({"status": "ready", "warning": away.detail})
            fault = away.detail
        if fault is None:
            return Response({"status": "ready"})
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return problem_response(request._request, "unavailable", fault, headers=headers)


def find_readiness_fault() -> str | None:
    """A sentence about the first thing that is missing; None when the process can serve."""
    try:
        return _find_fault()
    except KeyProviderAway as away:
        return away.detail


def _find_fault() -> str | None:
    """As above. Raises `KeyProviderAway`."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
            (is_migrated,) = cursor.fetchone()
        if not is_migrated or _has_pending_migrations():
            return "The database is not migrated; run `manage.py migrate`."
        return _find_root_key_fault()
    except Error:
        return "The database cannot be reached."


def _has_pending_migrations() -> bool:
    """Whether the code knows a migration that the database has not had."""
    return bool(_known_migrations() - set(MigrationRecorder(connection).applied_migrations()))


@lru_cache(maxsize=1)
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations or ())


def _find_root_key_fault() -> str | None:
    try:
        root_keyring()
    except KeyProviderAway:
        raise
    except (ConfigurationError, SealingError, Unavailable):
        return "The root key cannot be read."
    stored = Installation.objects.values_list("root_key_fingerprint", flat=True).first()
    if stored is None:
        return "The database has no root key yet; run `manage.py create_keys`."
    return None if is_root_key_of(stored) else "The root key is not the one of this database."
