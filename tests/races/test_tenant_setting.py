"""For whom a transaction is, the connection has forgotten when it is over: the next one to have it sees nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import connection

from jobservice.jobs.models import Job
from tenants.context import process_tx, tenant_tx, tenants_tx
from tests.factories import Tenant, make_job
from tests.roles import as_role


@pytest.mark.parametrize("ends_well", [True, False], ids=["committed", "rolled-back"])
@pytest.mark.parametrize(
    ("role", "begin"),
    [
        ("web", lambda tenant_id: tenant_tx(tenant_id)),
        ("web", lambda tenant_id: process_tx(tenant_id)),
        ("worker", lambda tenant_id: tenants_tx([tenant_id])),
        ("worker", lambda tenant_id: process_tx(tenant_id)),
    ],
    ids=["tenant_tx", "web's process_tx", "tenants_tx", "worker's process_tx"],
)
def test_a_pooled_connection_carries_no_tenant_further(
    racing_tenant: Tenant, role: str, begin: Callable[[object], AbstractContextManager[None]], ends_well: bool
) -> None:
    make_job(racing_tenant)
    with as_role(role):
        try:
            with begin(racing_tenant.id):
                assert Job.objects.count() == 1
                if not ends_well:
                    raise LookupError
        except LookupError:
            pass
        assert Job.objects.count() == 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('app.tenant', true), current_setting('app.tenants', true)")
            assert not any(cursor.fetchone())
