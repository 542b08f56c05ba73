"""Asks single processes of a running product to stop, and sees what becomes of them and of what they held."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.journeys.product import ROOT, Product, wait_until

GRACE_SECONDS = 3.0
# What the product promises: the grace, and five seconds to write down what was given back.
LIMIT_SECONDS = GRACE_SECONDS + 5.0
LOOPBACK = "127.0.0.0/8"


@dataclass(frozen=True, slots=True)
class Holding:
    """An unfinished job as the dispatcher sees it; `pid` is that of the worker process that runs it."""

    state: str
    attempt: int
    crash_count: int
    pid: int | None


def ask(product: Product, query: str, *values: object) -> list[tuple[object, ...]]:
    """Ask the database as the dispatcher, who sees every tenant's unfinished jobs."""
    url = json.loads((product.data_dir / "connections.json").read_text())["dispatcher"]
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


def find_holdings(product: Product) -> list[Holding]:
    rows = ask(
        product,
        "SELECT l.state, l.attempt, l.crash_count, w.pid FROM job_live l LEFT JOIN worker w ON w.id = l.worker_id",
    )
    return [Holding(*row) for row in rows]  # type: ignore[arg-type]  # as the columns are


def await_running(product: Product, *, not_by: int = 0) -> Holding:
    """The one unfinished job, once a worker other than that one runs it."""

    def running() -> Holding | None:
        held = [one for one in find_holdings(product) if one.state == "executing" and one.pid not in (None, not_by)]
        return held[0] if held else None

    found: Holding = wait_until(running, seconds=60, what="the job runs", log=lambda: product.log)
    return found


def count_workers(product: Product, pool: str) -> int:
    (row,) = ask(product, "SELECT count(*) FROM worker WHERE pool = %s AND NOT is_draining", pool)
    return int(str(row[0]))


@contextmanager
def second_worker(product: Product, pool: str) -> Iterator[None]:
    """One more worker of the pool beside that of the product, on the same database and broker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBSERVICE_")}
    for name in ("DATABASE_URL", "BROKER_URL"):
        kept.pop(name, None)
    environment = {**kept, "JOBSERVICE_EGRESS_ALLOW": LOOPBACK, **product.environment}
    environment["JOBSERVICE_DATA_DIR"] = str(product.data_dir)
    with (product.data_dir / "second.log").open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "worker", pool],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        wait_until(lambda: count_workers(product, pool) >= 2, seconds=60, what="both workers are there")
        yield
    finally:
        worker.terminate()
        try:
            worker.wait(LIMIT_SECONDS)
        finally:
            worker.kill()
            worker.wait()


def seconds_to_end(pid: int) -> float:
    """Wait until the process is gone, its own children too; how long that took."""
    began = time.monotonic()
    everyone = [pid, *children_of(pid)]
    wait_until(lambda: not any(map(is_running, everyone)), seconds=60, what=f"{everyone} are gone")
    return time.monotonic() - began


def children_of(pid: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent_of(path) == pid]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def silent(product: Product, name: str) -> Iterator[None]:
    """The server is there and answers nothing: worse than one that is gone, for nobody is told."""
    parent = product.await_pid(name)
    everyone = [parent, *children_of(parent)]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)


def _parent_of(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
