"""A web process for the tests of a module, and a tenant whose rows are really committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections

from tests.factories import Tenant, make_tenant
from tests.security.web_server import WebServer, running_web


@pytest.fixture(scope="module")
def committing(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Commits are real, for the web process to see; every row of a tenant is removed at the end."""
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT string_agg(quote_ident(c.relname), ', ') FROM pg_class c "
                "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace "
                "AND c.relname NOT IN ('django_migrations', 'installation', 'pool')"
            )
            (tables,) = cursor.fetchone()
            cursor.execute(f"TRUNCATE {tables}")
        connections.close_all()


@pytest.fixture(scope="module")
def web(committing: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with running_web(tmp_path_factory.mktemp("web")) as server:
        yield server


@pytest.fixture(scope="module")
def web_tenant(committing: None) -> Tenant:
    return make_tenant()
