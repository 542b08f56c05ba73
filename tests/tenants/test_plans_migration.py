"""What tenants had before there were plans is their own, on a database whose owner is bound by row-level security."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.workers.prepared import new_database

pytestmark = pytest.mark.deep

BEFORE_PLANS = "0005_refresh_statistics"
TENANT = "INSERT INTO tenant (id, name, quotas) VALUES (%s, 'acme', %s)"


def test_the_quotas_of_a_tenant_become_its_own(django_db_setup: None, tmp_path: Path) -> None:
    with new_database(tmp_path) as database:

        def run(*arguments: str) -> str:
            done = database.command(*arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("migrate", "tenants", BEFORE_PLANS)
        with psycopg.connect(database.owner_url) as connection:
            acme = uuid4()
            connection.execute("SELECT set_config('app.tenant', %s, false)", [str(acme)])
            connection.execute(TENANT, [acme, Jsonb({"running": 5, "open_jobs": None})])
        run("migrate")
        run("create_keys")
        run("set_plan", "pro", "running=50", "queues=9")
        run("set_quota", "acme", "--plan", "pro")
        assert run("set_quota", "acme", "--no-plan") == "open_jobs = null\nrunning = 5\n"
        assert run("set_quota", "acme", "--plan", "pro", "running=").splitlines() == [
            "plan = pro",
            "open_jobs = null",
            "queues = 9",
            "running = 50",
        ]
