"""Keys are rotated and a tenant is erased beside the running product, by its owner, who is no superuser."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.journeys.product import Product, running, scrape, wait_until
from tests.journeys.steady_load import SteadyLoad, steady_load
from tests.moving_clock import MovingClock

# The version in the head of a sealed value, and the moment in the head of its row's UUIDv7.
SEALED_LATE = """
SELECT count(*) FROM blob, data_key k
WHERE k.purpose = 'data' AND k.version = 2
  AND substring(blob.sealed FROM 4 FOR 4) = '\\x00000001'
  AND to_timestamp(('x' || translate(left(blob.id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
      > k.created_at + interval '2 seconds'
"""
PER_SECOND = 200
# Sealed before the tenant's new key was made, and under it by now: what the rotation has visited; and what it has not.
VISITED = """
SELECT count(*) FILTER (WHERE substring(sealed FROM 4 FOR 4) = '\\x00000002'),
       count(*) FILTER (WHERE substring(sealed FROM 4 FOR 4) = '\\x00000001')
FROM blob, data_key k
WHERE k.purpose = 'data' AND k.version = 2
  AND to_timestamp(('x' || translate(left(blob.id::text, 13), '-', ''))::bit(48)::bigint / 1000.0) < k.created_at
"""
# Old enough to be of the second batch of the rotation, and young enough not to be of its last.
MIDDLE = """
SELECT 1 FROM blob WHERE id = (SELECT id FROM blob WHERE tenant_id = %s ORDER BY id OFFSET 300 LIMIT 1)
FOR NO KEY UPDATE
"""


def test_keys_rotate_under_load_and_an_erased_tenant_is_gone_from_every_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The lease of a real start: every run is counted, and none is to begin again on a machine that stands still.
    with running(tmp_path / "var", JOBSERVICE_LEASE_SECONDS="30") as product:
        with steady_load(product, per_second=PER_SECOND) as load:
            wait_until(lambda: len(load.jobs) > PER_SECOND, seconds=120, what="there is load")
            usual_rate = measure_rate(load, lambda: wait_for_jobs(load, 5 * PER_SECOND))
            found: dict[str, Any] = {}
            rate = measure_rate(load, lambda: found.update(rotate_all_keys(product)))
        resumed = found["resumed"]
        assert (resumed["resumed"], resumed["key_version"], resumed["unreadable"]) == (True, 2, 0)
        assert resumed["retired"] is True
        assert resumed["resealed"] >= found["left"]
        await_all_over(product)
        load.check_results()
        assert (load.faults, set(load.statuses)) == ([], {200})
        assert load.reads > 100
        assert_nothing_failed_to_open(product)
        with capsys.disabled():
            print(f"\n{len(load.jobs)} jobs, {load.reads} reads of payloads; killed after {found['visited']} values")
            print(f"{rate:.0f} accepted per second while keys were rotated, and {usual_rate:.0f} before")
        # What this machine can do now, and not what one with nothing else to do could.
        assert rate >= usual_rate / 2
        assert_erased(product, load.jobs)


def rotate_all_keys(product: Product) -> dict[str, Any]:
    """The root key twice, and the tenant's once, whose rotation is killed and gone on with in between."""
    assert operator(product, "rotate_root_key")["root_key_version"] == 2
    visited, left = kill_a_rotation_half_way(product)
    resumed = rotate_and_watch(product)
    assert operator(product, "rotate_root_key")["root_key_version"] == 3
    return {"visited": visited, "left": left, "resumed": resumed}


def measure_rate(load: SteadyLoad, act: Callable[[], object]) -> float:
    """Jobs accepted per second in which the machine moved, while something is done."""
    begun, clock, is_over = len(load.jobs), MovingClock(), threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            clock.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        act()
    finally:
        is_over.set()
        watcher.join()
    return (len(load.jobs) - begun) / clock.look()


def wait_for_jobs(load: SteadyLoad, count: int) -> None:
    wait_until(lambda: len(load.jobs) > count, seconds=120, what=f"{count} jobs")


def kill_a_rotation_half_way(product: Product) -> tuple[int, int]:
    """How many of the values from before it were sealed anew when it died, and how many were not: one that is locked
    holds it up until then."""
    with owner(product) as holder, owner(product) as connection, holder.transaction():
        tenant = see_demo(holder)
        see_demo(connection)
        assert holder.execute(MIDDLE, [tenant]).fetchone() is not None

        def count() -> tuple[int, int]:
            row = connection.execute(VISITED).fetchone()
            assert row is not None
            return int(row[0]), int(row[1])

        child = product.begin_command("rotate_tenant_key", "demo", "--json")
        try:
            wait_until(lambda: count()[0] or child.poll() is not None, seconds=60, what="it has begun")
        finally:
            child.kill()
            child.communicate()
        visited, left = count()
    assert child.returncode == -signal.SIGKILL
    assert visited > 0
    assert left > 0
    return visited, left


def await_all_over(product: Product) -> None:
    def is_over() -> bool:
        with owner(product) as connection:
            see_demo(connection)
            return connection.execute("SELECT count(*) FROM job_live").fetchone() == (0,)

    wait_until(is_over, seconds=240, what="every job is over", log=lambda: product.log)


def assert_nothing_failed_to_open(product: Product) -> None:
    told = [line for line in product.log.splitlines() if re.search("unreadable|reseal_failed|request_failed", line)]
    assert told == []
    counted = {key: number for key, number in scrape(product).items() if "unreadable" in str(key) and number}
    assert counted == {}


def see_demo(connection: psycopg.Connection) -> UUID:
    """Turn to the demo tenant, as the owner must too; its id."""
    tenant = connection.execute("SELECT id FROM tenant WHERE name = 'demo'").fetchone()
    assert tenant is not None
    connection.execute("SELECT set_config('app.tenant', %s, false)", [str(tenant[0])])
    return UUID(str(tenant[0]))


def rotate_and_watch(product: Product) -> dict[str, Any]:
    """Rotate the demo tenant's key; meanwhile see that no process seals under the old one after two seconds."""
    done: list[dict[str, Any]] = []
    rotation = threading.Thread(target=lambda: done.append(operator(product, "rotate_tenant_key", "demo")))
    rotation.start()
    looks = 0
    with owner(product) as connection:
        see_demo(connection)
        while rotation.is_alive():
            late = connection.execute(SEALED_LATE).fetchone()
            assert late == (0,)
            looks += 1
            time.sleep(0.2)
    assert looks > 1
    return done[0]


def assert_erased(product: Product, jobs: list[str]) -> None:
    made = operator(product, "create_tenant", "acme")
    assert "nothing was erased" in product.command("erase_tenant", "demo").stderr
    assert product.call("GET", f"/v1/jobs/{jobs[0]}")[0] == 200
    waiting = [product.submit(type="sleep", payload={"seconds": 600}, timeout_seconds=3600) for _ in range(5)]
    assert len(waiting) == 5
    report = operator(product, "erase_tenant", "demo", "--yes")
    assert report["removed"]["job"] == len(jobs) + 5
    assert report["removed"]["data_key"] == 3
    assert product.call("GET", f"/v1/jobs/{jobs[0]}")[0] == 401
    with owner(product) as connection:
        query = "SELECT set_config('app.tenant', id::text, false), id FROM tenant WHERE status = 'erased'"
        erased = connection.execute(query).fetchone()
        assert erased is not None
        for table in ("job", "job_live", "blob", "event", "attempt", "data_key", "api_key", "signing_secret"):
            rows = connection.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", [erased[1]]).fetchone()
            assert rows == (0,), table
    # The handlers that slept for it are free again, long before they would have been.
    job_id = product.call("POST", "/v1/jobs", {"type": "echo", "payload": 1}, key=made["api_key"])[1]["id"]

    def is_completed() -> bool:
        return bool(product.call("GET", f"/v1/jobs/{job_id}", key=made["api_key"])[1]["state"] == "completed")

    wait_until(is_completed, seconds=60, what="the neighbour's job is done", log=lambda: product.log)


def operator(product: Product, *arguments: str) -> dict[str, Any]:
    """The answer of one of the operator's commands, which must succeed."""
    ended = product.command(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("\n") == 1
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def owner(product: Product) -> psycopg.Connection:
    """A connection as the owner of the tables, whom row-level security binds like everybody else."""
    urls = json.loads((product.data_dir / "connections.json").read_text())
    return psycopg.connect(urls["owner"], autocommit=True)
