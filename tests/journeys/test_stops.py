"""Each process, asked to stop while it has work: gone within its grace and five seconds, and nobody's job suffers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.journeys.draining import KeptConnection, Waiting, has_waiter
from tests.journeys.product import ROOT, Product, running, wait_until
from tests.journeys.receiver import Receiver, connected_receiver
from tests.journeys.stopping import (
    GRACE_SECONDS,
    LIMIT_SECONDS,
    await_running,
    find_holding,
    second_worker,
    seconds_to_end,
    silent,
    submit_to,
)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One of its own: with one slot for handlers, a short grace, and leases so long that none helps anybody here."""
    with running(
        tmp_path_factory.mktemp("stops") / "var",
        JOBSERVICE_LEASE_SECONDS="60",
        JOBSERVICE_STOP_GRACE_SECONDS=f"{GRACE_SECONDS:g}",
        JOBSERVICE_HANDLER_PROCESSES="1",
    ) as started:
        yield started


@pytest.fixture
def receiver(product: Product) -> Iterator[Receiver]:
    with connected_receiver(product) as connected:
        yield connected


# Were the run before the stop counted, there would be no other.
SLEEP: dict[str, Any] = {"type": "sleep", "payload": {"seconds": 600}, "timeout_seconds": 600, "max_attempts": 1}


def assert_given_back(product: Product, job_id: str, *, old: int) -> None:
    """Whoever is gone holds it no more, and it waits for nothing: it runs elsewhere as if it had never been started."""
    held = find_holding(product, job_id)
    assert held is not None
    assert (held.pid != old, held.is_due, held.crash_count) == (True, True, 0)
    again = await_running(product, job_id, not_by=old)
    assert (again.attempt, again.crash_count) == (1, 0)
    outcomes = end_sleep(product, job_id)
    assert outcomes == {"released", "cancelled"}


def end_sleep(product: Product, job_id: str) -> set[str]:
    """What became of each of its runs. It would sleep on beside all that follows."""
    assert product.call("POST", f"/v1/jobs/{job_id}/cancel")[0] == 200
    job = product.wait_for_end([job_id])[job_id]
    assert (job["state"], job["crash_count"]) == ("cancelled", 0)
    return {row["outcome"] for row in product.call("GET", f"/v1/jobs/{job_id}/attempts")[1]["data"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_handler_worker_gives_back_a_long_job_whatever_signal_stops_it(product: Product, number: int) -> None:
    with second_worker(product, "handlers"):
        job_id = product.submit(**SLEEP)
        old = await_running(product, job_id).pid
        assert old is not None
        short = [product.submit(type="sleep", payload={"seconds": 0.2}) for _ in range(6)]
        os.kill(old, number)
        time.sleep(0.5)
        # Where the machine stood still for the whole grace it is gone already.
        with suppress(ProcessLookupError):
            os.kill(old, number)
        assert seconds_to_end(old) < LIMIT_SECONDS
        assert_given_back(product, job_id, old=old)
        ended = product.wait_for_end(short)
    assert {(job["state"], job["crash_count"]) for job in ended.values()} == {("completed", 0)}


def test_a_handler_worker_finishes_what_ends_within_the_grace(product: Product) -> None:
    # Of a grace for which no machine stands still; a worker that waits for all of it is late.
    with second_worker(product, "handlers", JOBSERVICE_STOP_GRACE_SECONDS="600") as worker:
        job_id = submit_to(product, worker, type="sleep", payload={"seconds": 3})
        os.kill(worker, signal.SIGTERM)
        seconds_to_end(worker)
        job = product.wait_for_end([job_id])[job_id]
        (attempt,) = product.call("GET", f"/v1/jobs/{job_id}/attempts")[1]["data"]
    assert (job["state"], attempt["outcome"]) == ("completed", "completed")


def test_an_egress_worker_gives_back_a_request_that_does_not_end(product: Product, receiver: Receiver) -> None:
    with second_worker(product, "egress"):
        receiver.hold.clear()
        job_id = product.submit(type="text.count", payload={"text": "a b"}, max_attempts=1)
        old = await_running(product, job_id).pid
        assert old is not None
        short = product.submit(type="echo", payload=1)
        os.kill(old, signal.SIGTERM)
        assert seconds_to_end(old) < LIMIT_SECONDS
        again = await_running(product, job_id, not_by=old)
        assert (again.attempt, again.crash_count) == (1, 0)
        receiver.hold.set()
        ended = product.wait_for_end([job_id, short])
    assert {(job["state"], job["crash_count"]) for job in ended.values()} == {("completed", 0)}
    assert receiver.runs[job_id] == 2


def test_an_egress_worker_gives_back_a_callback_that_does_not_end(product: Product, receiver: Receiver) -> None:
    receiver.hold_callbacks.clear()
    with second_worker(product, "egress"):
        job_id = product.submit(type="echo", payload=1, callback_url=receiver.url)
        wait_until(lambda: receiver.callbacks[job_id].total() == 1, seconds=60, what="the callback is under way")
        # Both are asked, because nobody can tell which of them sends it; the supervisor starts one anew.
        for old in product.pids("egress"):
            os.kill(old, signal.SIGTERM)
        wait_until(lambda: receiver.callbacks[job_id].total() >= 2, seconds=30, what="the callback is sent again")
        receiver.hold_callbacks.set()
    (event,) = [
        row for row in product.call("GET", f"/v1/jobs/{job_id}/events")[1]["data"] if "completed" in row["type"]
    ]
    assert list(receiver.callbacks[job_id]) == [event["id"]]


@pytest.mark.parametrize("pool", ["handlers", "egress"])
def test_a_worker_whose_broker_is_silent_gives_back_and_goes_in_time(
    product: Product, receiver: Receiver, pool: str
) -> None:
    with second_worker(product, pool):
        receiver.hold.clear()
        job_id = product.submit(**(SLEEP if pool == "handlers" else {"type": "text.count", "payload": {"text": "a"}}))
        old = await_running(product, job_id).pid
        assert old is not None
        with silent(product, "valkey"):
            os.kill(old, signal.SIGTERM)
            assert seconds_to_end(old) < LIMIT_SECONDS
            held = find_holding(product, job_id)
            assert held is not None
            assert (held.attempt, held.crash_count, held.pid) == (0, 0, None)
        again = await_running(product, job_id, not_by=old)
        assert (again.attempt, again.crash_count) == (1, 0)
        if pool == "handlers":
            end_sleep(product, job_id)
        receiver.hold.set()
        product.wait_for_end([job_id])


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_every_process_goes_in_time_when_a_server_is_silent(product: Product, server: str) -> None:
    processes = [product.await_pid(name) for name in ("web", "dispatcher", "handlers", "egress")]
    with silent(product, server):
        time.sleep(1.5)
        for pid in processes:
            os.kill(pid, signal.SIGTERM)
        assert seconds_to_end(*processes) < LIMIT_SECONDS
    product.wait_until_ready()
    assert product.wait_for_end([product.submit(type="echo", payload=1)])


@pytest.mark.parametrize("command", [("dispatcher",), ("worker", "handlers"), ("worker", "egress")])
def test_a_process_asked_to_stop_while_it_starts_goes_in_time(product: Product, command: tuple[str, ...]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBSERVICE_")}
    for name in ("DATABASE_URL", "BROKER_URL"):
        kept.pop(name, None)
    for seconds in (0.5, 1.5, 2.5, 3.5):
        with (product.data_dir / "starting.log").open("ab") as log:
            starting = subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env={**kept, **product.environment, "JOBSERVICE_DATA_DIR": str(product.data_dir)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        time.sleep(seconds)
        starting.terminate()
        try:
            assert seconds_to_end(starting.pid) < LIMIT_SECONDS
        finally:
            starting.kill()
            starting.wait()
    assert product.wait_for_end([product.submit(type="echo", payload=1)])


def test_a_web_process_that_drains_answers_whom_it_has_and_tells_them_to_go(product: Product) -> None:
    job_id = product.submit(**SLEEP)
    waiting = Waiting(product, job_id)
    wait_until(lambda: has_waiter(product), seconds=60, what="somebody waits for the end of a job")
    with ExitStack() as stack:
        kept = [stack.enter_context(KeptConnection(product)) for _ in range(12)]
        for connection in kept:
            assert connection.get("/healthz") == (200, "keep-alive")
        master = product.await_pid("web")
        os.kill(master, signal.SIGTERM)
        # The two workers of this web process are stopping, and so are all who answer on kept connections.
        assert {connection.last_word("/readyz") for connection in kept} <= {(503, "close"), None}
        assert seconds_to_end(master) < LIMIT_SECONDS
        # By whom is gone now, and before the time that it wished to wait was over: the job goes on.
        assert waiting.answer(seconds=60)["id"] == job_id
        # Meanwhile nobody was refused: this one waited for the process that the supervisor started next.
        assert product.call("GET", "/healthz")[0] == 200
    end_sleep(product, job_id)
