"""Requests of two tenants that take turns on the same few connections to the database: nobody sees the other's."""

from __future__ import annotations

import http.client
import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.factories import Tenant, make_job, make_tenant
from tests.security.pooler import find_pooler, running_pooler
from tests.security.web_server import WebServer, running_web, web_database_url

REQUESTS = int(os.environ.get("TEST_INTERLEAVED_REQUESTS", "1200"))
CLIENTS = 8


@pytest.fixture(scope="module", params=["the process's own pool", "PgBouncer"])
def shared_web(
    request: pytest.FixtureRequest, committing: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebServer]:
    folder = tmp_path_factory.mktemp("shared")
    if request.param != "PgBouncer":
        with running_web(folder) as server:
            yield server
        return
    program = find_pooler()
    if program is None:
        assert not os.environ.get("TEST_POOLER_REQUIRED"), "PgBouncer is required in this run and not installed"
        pytest.skip("PgBouncer is not installed")
    with (
        running_pooler(program, folder, web_database_url()) as url,
        # The pooler of this machine may be one that keeps no prepared statements.
        running_web(folder, database_url=url, JOBSERVICE_PREPARED_STATEMENTS="off") as server,
    ):
        yield server


@dataclass(frozen=True, slots=True)
class _Ask:
    """Requests with one tenant's key, on a connection that is used for others as well."""

    connection: http.client.HTTPConnection
    key: str = field(repr=False)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_requests_that_take_turns_on_a_connection_see_their_own_tenant_only(shared_web: WebServer) -> None:
    tenants = [make_tenant(), make_tenant()]
    jobs = {tenant.id: str(make_job(tenant, queue=f"queue-of-{tenant.name}")["id"]) for tenant in tenants}

    def take_turns(seed: int) -> int:
        turns = random.Random(seed)
        with closing(http.client.HTTPConnection("127.0.0.1", shared_web.port, timeout=60)) as connection:
            for _ in range(REQUESTS // CLIENTS):
                one, other = turns.sample(tenants, 2)
                ask = _Ask(connection, one.api_key)
                _take_turn(turns, ask, one, own_job=jobs[one.id], foreign_job=jobs[other.id], foreign_name=other.name)
        return REQUESTS // CLIENTS

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(take_turns, range(CLIENTS))) == REQUESTS // CLIENTS * CLIENTS


def _take_turn(
    turns: random.Random, ask: _Ask, tenant: Tenant, *, own_job: str, foreign_job: str, foreign_name: str
) -> None:
    """One request of the tenant, in any of these ways, and nothing of the other one in the answer."""
    match turns.randrange(6):
        case 0:
            status, answer = ask("GET", "/v1/tenant")
            assert (status, answer["name"]) == (200, tenant.name)
        case 1:
            status, answer = ask("GET", f"/v1/jobs/{own_job}?include=payload")
            assert (status, answer["id"]) == (200, own_job)
        case 2:
            status, answer = ask("GET", f"/v1/jobs/{foreign_job}")
            assert (status, answer["code"]) == (404, "not-found")
        case 3:
            status, answer = ask("GET", "/v1/jobs?limit=100")
            assert status == 200
            assert {job["queue"] for job in answer["data"]} == {f"queue-of-{tenant.name}"}
        case 4:
            # An error in the middle of a transaction leaves nothing of its tenant on the connection either.
            status, answer = ask("POST", f"/v1/jobs/{foreign_job}/cancel", {})
            assert (status, answer["code"]) == (404, "not-found")
        case _:
            status, answer = ask("POST", "/v1/jobs", {"type": "echo", "queue": f"queue-of-{tenant.name}"})
            assert status == 201
    assert foreign_name not in json.dumps(answer)
