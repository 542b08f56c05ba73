"""Whatever is called for a tenant, the lookup of its name counts among that tenant's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from aiohttp.abc import AbstractResolver

from jobservice.egress.client import EgressClient
from jobservice.egress.lookups import asking_tenant
from tests.egress.servers import LOCAL
from tests.factories import Tenant, make_job
from tests.webhooks.test_deliveries import make_delivery
from tests.workers.test_egress_deliveries import prepare as prepare_delivery
from tests.workers.test_egress_http_jobs import point_to, prepare, put_type, start_egress
from workers.executors.deliveries import run_delivery
from workers.executors.http import run_http_job

pytestmark = pytest.mark.django_db

SOMEWHERE = "http://host.test:8080/"


class Asked(AbstractResolver):
    """Knows no name, but who asked for it."""

    def __init__(self) -> None:
        self.tenants: list[UUID | None] = []

    async def resolve(self, *_: Any, **__: Any) -> Any:
        self.tenants.append(asking_tenant.get())
        raise OSError("no such name")

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("type_name", ["work.do", "http.request"])
def test_the_lookup_for_a_job_is_its_tenants(tenant: Tenant, type_name: str) -> None:
    put_type(tenant)
    make_job(tenant, type=type_name, payload={"url": SOMEWHERE})
    (run,) = prepare(start_egress())
    asked = Asked()

    async def scenario() -> None:
        async with EgressClient(LOCAL, resolver=asked) as client:
            await run_http_job(point_to(run, SOMEWHERE), client)

    asyncio.run(scenario())
    assert asked.tenants == [tenant.id]


def test_the_lookup_for_a_delivery_is_its_tenants(tenant: Tenant) -> None:
    make_delivery(tenant)
    run = prepare_delivery()
    assert run.call is not None
    there = replace(run, call=replace(run.call, url=SOMEWHERE))
    asked = Asked()

    async def scenario() -> None:
        async with EgressClient(LOCAL, resolver=asked) as client:
            await run_delivery(there, client)

    asyncio.run(scenario())
    assert asked.tenants == [tenant.id]
