"""Keys are rotated and a tenant is erased beside the running product, by its owner, who is no superuser."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.journeys.product import Product, running, scrape, wait_until
from tests.journeys.steady_load import steady_load

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


def test_keys_rotate_under_load_and_an_erased_tenant_is_gone_from_every_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path / "var") as product:
        with steady_load(product, per_second=PER_SECOND) as load:
            wait_until(lambda: len(load.jobs) > 5 * PER_SECOND, seconds=120, what="there is load")
            began_at, begun = time.monotonic(), len(load.jobs)
            assert operator(product, "rotate_root_key")["root_key_version"] == 2
            visited, left = kill_a_rotation_half_way(product)
            resumed = rotate_and_watch(product)
            assert operator(product, "rotate_root_key")["root_key_version"] == 3
            rate = (len(load.jobs) - begun) / (time.monotonic() - began_at)
        assert (resumed["resumed"], resumed["key_version"], resumed["unreadable"]) == (True, 2, 0)
        assert resumed["retired"] is True
        assert resumed["resealed"] >= left
        await_all_over(product)
        load.check_results()
        assert (load.faults, set(load.statuses)) == ([], {200})
        assert load.reads > 100
        assert_nothing_failed_to_open(product)
        with capsys.disabled():
            print(f"\n{len(load.jobs)} jobs, {rate:.0f} accepted per second while keys were rotated")
            print(f"{load.reads} reads of payloads meanwhile; killed after {visited} values, with {left} left")
        # What a machine with others on it can do; what it did is printed.
        assert rate >= PER_SECOND / 2
        assert_erased(product, load.jobs)


def kill_a_rotation_half_way(product: Product) -> tuple[int, int]:
    """How many of the values from before it were sealed anew when it died, and how many were not."""
    child = product.begin_command("rotate_tenant_key", "demo", "--json")
    with owner(product) as connection:
        see_demo(connection)

        def count() -> tuple[int, int]:
            row = connection.execute(VISITED).fetchone()
            assert row is not None
            return int(row[0]), int(row[1])

        deadline = time.monotonic() + 60
        while count()[0] == 0 and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
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


def see_demo(connection: psycopg.Connection) -> None:
    """Turn to the demo tenant, as the owner must too."""
    tenant = connection.execute("SELECT id FROM tenant WHERE name = 'demo'").fetchone()
    assert tenant is not None
    connection.execute("SELECT set_config('app.tenant', %s, false)", [str(tenant[0])])


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
    assert looks > 10
    return done[0]


def assert_erased(product: Product, jobs: list[str]) -> None:
    made = operator(product, "create_tenant", "acme")
    assert "nothing was erased" in product.command("erase_tenant", "demo").stderr
    assert product.call("GET", f"/v1/jobs/{jobs[0]}")[0] == 200
    waiting = [product.submit(type="sleep", payload={"seconds": 30}) for _ in range(5)]
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

    wait_until(is_completed, seconds=20, what="the neighbour's job is done", log=lambda: product.log)


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
