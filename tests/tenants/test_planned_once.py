"""What a worker does for a group is planned once, whatever the length of the group."""

from __future__ import annotations

import pytest
from django.db import connection

from tenants.context import tenants_tx
from tests.factories import Tenant
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def test_a_workers_statement_is_not_planned_anew_for_each_length_of_its_group(tenant: Tenant) -> None:
    with as_role("worker"), tenants_tx([tenant.id]), connection.cursor() as cursor:
        cursor.execute("PREPARE find_some AS SELECT FROM job_live WHERE job_id = ANY ($1::uuid[])")
        for length in (1, 2, 3):
            ids = ",".join([str(tenant.id)] * length)
            cursor.execute(f"EXECUTE find_some ('{{{ids}}}')")
        cursor.execute("SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE name = 'find_some'")
        assert cursor.fetchall() == [(0, 3)]
        cursor.execute("DEALLOCATE find_some")
