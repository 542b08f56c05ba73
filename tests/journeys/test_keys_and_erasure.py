"""Keys are rotated and a tenant is erased beside the running product, by its owner, who is no superuser."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.journeys.product import Product, running, wait_until

# The version in the head of a sealed value, and the moment in the head of its row's UUIDv7.
SEALED_LATE = """
SELECT count(*) FROM blob, data_key k
WHERE k.purpose = 'data' AND k.version = 2
  AND substring(blob.sealed FROM 4 FOR 4) = '\\x00000001'
  AND to_timestamp(('x' || translate(left(blob.id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
      > k.created_at + interval '2 seconds'
"""


def test_keys_rotate_under_load_and_an_erased_tenant_is_gone_from_every_process(tmp_path: Path) -> None:
    with running(tmp_path / "var") as product:
        with load(product) as jobs:
            wait_until(lambda: len(jobs) > 20, seconds=60, what="there is load")
            assert operator(product, "rotate_root_key")["root_key_version"] == 2
            first = rotate_and_watch(product)
            assert operator(product, "rotate_root_key")["root_key_version"] == 3
            submitted = len(jobs)
            wait_until(lambda: len(jobs) > submitted + 20, seconds=60, what="the load goes on")
        assert (first["key_version"], first["unreadable"], first["retired"]) == (2, 0, True)
        assert first["resealed"] > 20
        ended = product.wait_for_end(jobs)
        assert {job["state"] for job in ended.values()} == {"completed"}
        assert {job["crash_count"] for job in ended.values()} == {0}
        for number, job_id in enumerate(jobs):
            assert product.job(job_id, include="payload,result")["result"] == {"n": number}
        assert "unreadable" not in product.log
        assert_erased(product, jobs)


def rotate_and_watch(product: Product) -> dict[str, Any]:
    """Rotate the demo tenant's key; meanwhile see that no process seals under the old one after two seconds."""
    done: list[dict[str, Any]] = []
    rotation = threading.Thread(target=lambda: done.append(operator(product, "rotate_tenant_key", "demo")))
    rotation.start()
    looks = 0
    with owner(product) as connection:
        tenant = connection.execute("SELECT id FROM tenant WHERE name = 'demo'").fetchone()
        assert tenant is not None
        connection.execute("SELECT set_config('app.tenant', %s, false)", [str(tenant[0])])
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


@contextmanager
def load(product: Product) -> Iterator[list[str]]:
    """Jobs submitted one after another until the end of the block; each is a number in its payload."""
    jobs: list[str] = []
    over = threading.Event()

    def submit() -> None:
        while not over.is_set():
            jobs.append(product.submit(type="echo", payload={"n": len(jobs)}))
            time.sleep(0.02)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield jobs
    finally:
        over.set()
        thread.join(timeout=60)


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
