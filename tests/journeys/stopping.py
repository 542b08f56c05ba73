"""Asks single processes of a running product to stop, and sees what becomes of them and of what they held."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from jobservice.ids import JOB, parse_id
from tests.journeys.product import ROOT, Product, wait_until
from tests.moving_clock import MovingClock

GRACE_SECONDS = 3.0
# What the product promises: the grace, and five seconds to write down what was given back.
LIMIT_SECONDS = GRACE_SECONDS + 5.0
LOOPBACK = "127.0.0.0/8"
TRIES = 20
# From one look of a wait to the next, where nobody else is at work.
LOOK_SECONDS = 0.06
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Holding:
    """An unfinished job as the dispatcher sees it; `pid` is that of the worker process that runs it."""

    state: str
    is_due: bool
    attempt: int
    crash_count: int
    pid: int | None


def ask(product: Product, query: str, *values: object) -> list[tuple[object, ...]]:
    """Ask the database as the dispatcher, who sees every tenant's unfinished jobs."""
    url = json.loads((product.data_dir / "connections.json").read_text())["dispatcher"]
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


def find_holding(product: Product, job_id: str) -> Holding | None:
    """The job, unless it is over."""
    rows = ask(
        product,
        "SELECT l.state, l.due_at <= clock_timestamp(), l.attempt, l.crash_count, w.pid "
        "FROM job_live l LEFT JOIN worker w ON w.id = l.worker_id WHERE l.job_id = %s",
        parse_id(JOB, job_id),
    )
    return Holding(*rows[0]) if rows else None  # type: ignore[arg-type]  # as the columns are


def await_running(product: Product, job_id: str, *, not_by: int = 0) -> Holding:
    """The unfinished job, once a worker other than that one runs it."""

    def running() -> Holding | None:
        held = find_holding(product, job_id)
        return held if held and held.state == "executing" and held.pid not in (None, not_by) else None

    found: Holding = wait_until(running, seconds=60, what="the job runs", log=lambda: product.log)
    return found


def submit_to(product: Product, worker: int, **job: object) -> str:
    """A job that this one of two workers has begun: the other has what it did not get."""
    for _ in range(TRIES):
        job_id = product.submit(**job)

        def is_begun(job_id: str = job_id) -> bool:
            held = find_holding(product, job_id)
            return held is None or held.state == "executing"

        wait_until(is_begun, seconds=60, what="the job begins", log=lambda: product.log)
        held = find_holding(product, job_id)
        if held is not None and held.pid == worker:
            return job_id
    raise AssertionError(f"worker {worker} got none of {TRIES} jobs: {product.log[-3000:]}")


def count_workers(product: Product, pool: str) -> int:
    """Those that take jobs. Who was killed has left its row behind."""
    rows = ask(product, "SELECT pid FROM worker WHERE pool = %s AND NOT is_draining", pool)
    return len({pid for (pid,) in rows if is_running(int(str(pid)))})


@contextmanager
def second_worker(product: Product, pool: str, **settings: str) -> Iterator[int]:
    """One more worker of the pool beside that of the product, on the same database and broker; its pid."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBSERVICE_")}
    for name in ("DATABASE_URL", "BROKER_URL"):
        kept.pop(name, None)
    environment = {**kept, "JOBSERVICE_EGRESS_ALLOW": LOOPBACK, **product.environment, **settings}
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
        yield worker.pid
    finally:
        worker.terminate()
        try:
            worker.wait(PATIENCE_SECONDS)
        finally:
            worker.kill()
            worker.wait()


def seconds_to_end(*pids: int) -> float:
    """Wait until these processes are gone, their own children too; how long that took, by as many looks as there were.

    A machine that stands still, or has others at work, is as late with each look as with each step of a stop.
    """
    clock = MovingClock(most_seconds=LOOK_SECONDS)
    everyone = [one for pid in pids for one in (pid, *children_of(pid))]

    def are_gone() -> bool:
        clock.look()
        return not any(map(is_running, everyone))

    wait_until(are_gone, seconds=PATIENCE_SECONDS, what=f"{everyone} are gone")
    return clock.seconds


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
