"""A process refuses to start as a role above the wall, with the wrong root key, or over an unprotected table."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from jobservice.env import ConfigurationError
from tenants.boot import check_boot, check_role, check_root_key
from tenants.models import Installation
from tests.roles import as_role

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("process", ["web", "worker", "dispatcher"])
def test_each_runtime_role_may_start(process: str) -> None:
    with as_role(process):
        check_boot()


def test_a_superuser_may_not_start() -> None:
    with pytest.raises(ConfigurationError, match="whom row-level security does not bind"):
        check_role()


def test_a_table_without_forced_policies_stops_the_start(role: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE job NO FORCE ROW LEVEL SECURITY")
    with role("web"), pytest.raises(ConfigurationError, match="not forced on job;"):
        check_role()


def test_another_root_key_stops_the_start(role: Any) -> None:
    Installation.objects.update(root_key_fingerprint="1:" + "0" * 64)
    with role("web"), pytest.raises(ConfigurationError, match="is not the root key of this database"):
        check_root_key()


def test_a_database_without_a_root_key_stops_the_start(role: Any) -> None:
    Installation.objects.all().delete()
    with role("worker"), pytest.raises(ConfigurationError, match="no root key yet"):
        check_root_key()
