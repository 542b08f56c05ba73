"""10,000 random reads of every table of the tenants': no role sees a row of a tenant that it did not name, none at all
without one, and each sees all of its own. A failure names its seed: `TEST_READS_SEED`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from jobservice.jobs import notifier
from tenants.context import set_local
from tests.factories import Tenant, make_tenant
from tests.roles import as_role
from tests.security.random_reads import RandomRead, Rows, Samples
from tests.security.tenant_tables import Readable, fill_tables, readable_by, tables

READS = int(os.environ.get("TEST_READS", "10000"))
SEED = os.environ.get("TEST_READS_SEED") or str(time.time_ns())
# So many reads share a transaction.
BLOCK = 50
SETTINGS = {"web": "app.tenant", "worker": "app.tenants"}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def tenants(committing: None) -> list[Tenant]:
    made = [make_tenant() for _ in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        # As in every test; this is not yet one.
        patch.setattr(notifier, "_wake", lambda _channel: None)
        for tenant in made:
            fill_tables(tenant)
    return made


@pytest.fixture(scope="module")
def samples(tenants: list[Tenant]) -> Samples:
    """Values of each column, as the superuser sees them: of all three tenants."""
    found: dict[tuple[str, str], list[Any]] = {}
    for readable in [*readable_by("web"), *readable_by("worker")]:
        for field in readable.fields:
            key = (readable.model._meta.db_table, field.attname)
            values = rows_of(readable).values_list(field.attname, flat=True)[:200]
            found[key] = [value for value in values if value is not None]
    return found


def rows_of(readable: Readable) -> QuerySet[Any]:
    """All that the role of this transaction sees."""
    return readable.model._base_manager.all()


def rows_filtered_by(tenant_ids: Sequence[UUID]) -> Rows:
    """The same with the tenants named: what the policies must come to."""
    return lambda readable: readable.model._base_manager.filter(**{f"{readable.owner}__in": tenant_ids})


def sets_of_tenants(role: str, tenants: Sequence[Tenant]) -> list[list[UUID]]:
    """What such a process may name: one tenant, or those of a message."""
    sizes = (1,) if role == "web" else (1, 2)
    return [[tenant.id for tenant in some] for size in sizes for some in combinations(tenants, size)]


@contextmanager
def acting(role: str, tenant_ids: Sequence[UUID]) -> Iterator[None]:
    with transaction.atomic(), as_role(role):
        if tenant_ids:
            set_local(SETTINGS[role], ",".join(map(str, tenant_ids)))
        yield


def ask_all(reads: Sequence[RandomRead], role: str, tenant_ids: Sequence[UUID]) -> list[Any]:
    with acting(role, tenant_ids):
        return [read.ask(rows_of) for read in reads]


def ask_filtered(reads: Sequence[RandomRead], tenant_ids: Sequence[UUID]) -> list[Any]:
    """As the superuser, whom no policy binds."""
    with transaction.atomic():
        return [read.ask(rows_filtered_by(tenant_ids)) for read in reads]


def find_differences(
    role: str, named: Sequence[list[UUID]], samples: Samples, *, tenants: Sequence[Tenant], count: int
) -> list[str]:
    """The seeds of the reads that came to something else than their filtered twins, or tell of a foreign tenant."""
    readable, found = readable_by(role), []
    for block in range(count // BLOCK):
        ids = named[block % len(named)]
        seeds = [f"{SEED}/{role}/{block}/{number}" for number in range(BLOCK)]
        reads = [RandomRead(seed, readable=readable, samples=samples) for seed in seeds]
        foreign = re.compile("|".join(str(tenant.id) for tenant in tenants if tenant.id not in ids))
        seen, right = ask_all(reads, role, ids), ask_filtered(reads, ids)
        found += [
            seed
            for seed, one, other in zip(seeds, seen, right, strict=True)
            if one != other or foreign.search(repr(one))
        ]
    return found


def test_every_table_has_rows_of_each_tenant(tenants: list[Tenant]) -> None:
    for table in set(tables()) - {"tenant"}:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(DISTINCT tenant_id) FROM {table}")
            assert cursor.fetchone() == (3,), f"fill_tables leaves {table} without rows"


def test_each_table_that_a_role_may_read_at_all_is_among_the_reads(tenants: list[Tenant]) -> None:
    """A model of the application is here by itself, and so is a table without one."""
    by_web = {readable.model._meta.db_table for readable in readable_by("web")}
    by_worker = {readable.model._meta.db_table for readable in readable_by("worker")}
    assert {"job", "blob", "member", "audit_event", "request_bucket", "tenant_usage"} <= by_web
    assert {"job", "blob", "delivery_health"} <= by_worker
    assert set(tables()) - by_web - by_worker <= {"delivery_turn", "statistic_delta", "error_delta"}


@pytest.mark.parametrize("role", ["web", "worker"])
def test_no_read_sees_a_row_of_another_tenant(role: str, tenants: list[Tenant], samples: Samples) -> None:
    named = sets_of_tenants(role, tenants)
    assert find_differences(role, named, samples, tenants=tenants, count=READS // 2) == []


@pytest.mark.parametrize("role", ["web", "worker"])
def test_no_read_without_a_tenant_sees_a_row(role: str, tenants: list[Tenant], samples: Samples) -> None:
    assert find_differences(role, [[]], samples, tenants=tenants, count=READS // 10) == []


@pytest.mark.parametrize(
    "hole",
    [
        "ALTER TABLE job DISABLE ROW LEVEL SECURITY",
        "ALTER POLICY one_tenant_only ON job USING (true); ALTER POLICY one_tenant ON job USING (true)",
    ],
)
def test_a_hole_in_one_table_would_be_found(hole: str, tenants: list[Tenant], samples: Samples) -> None:
    with undone():
        with connection.cursor() as cursor:
            cursor.execute(hole)
        assert find_differences("web", sets_of_tenants("web", tenants), samples, tenants=tenants, count=600) != []


@contextmanager
def undone() -> Iterator[None]:
    """A transaction of which nothing stays."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
