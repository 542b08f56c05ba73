"""Any one process is killed with SIGKILL while jobs wait, run and are told: none is lost, none ends twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.product import Product, running, wait_until
from tests.journeys.receiver import Receiver, connected_receiver

VICTIMS: dict[str, Callable[[Product], int]] = {
    "web worker": lambda product: product.pids("web")[-1],
    "web master": lambda product: product.await_pid("web"),
    "dispatcher": lambda product: product.await_pid("dispatcher"),
    "handler worker": lambda product: product.await_pid("handlers"),
    "handler child": lambda product: product.pids("handlers")[-1],
    "egress worker": lambda product: product.await_pid("egress"),
    "broker": lambda product: product.await_pid("valkey"),
    "database": lambda product: product.await_pid("postgres"),
}


def submit_mixture(product: Product, receiver: Receiver, count: int) -> list[str]:
    """Short and longer handler jobs and http jobs, all with a callback."""
    kinds: list[dict[str, Any]] = [
        {"type": "echo", "payload": "e"},
        {"type": "sleep", "payload": {"seconds": 0.3}},
        {"type": "text.count", "payload": {"text": "some words"}},
    ]
    return [product.submit(**kinds[number % 3], callback_url=receiver.url) for number in range(count)]


def assert_all_ended_once(product: Product, receiver: Receiver, job_ids: list[str]) -> None:
    ended = product.wait_for_end(job_ids, seconds=90)
    assert {job["state"] for job in ended.values()} == {"completed"}
    wait_until(lambda: set(receiver.callbacks) >= set(job_ids), seconds=60, what="every callback arrived")
    assert {job_id: len(receiver.callbacks[job_id]) for job_id in job_ids} == dict.fromkeys(job_ids, 1)
    product.wait_until_ready()
    for job_id in job_ids:
        events = product.call("GET", f"/v1/jobs/{job_id}/events")[1]["data"]
        assert [event["type"] for event in events].count("job.completed") == 1
        outcomes = [row["outcome"] for row in product.call("GET", f"/v1/jobs/{job_id}/attempts")[1]["data"]]
        assert outcomes.count("completed") == 1
    assert receiver.refused == []


@pytest.mark.parametrize("victim", VICTIMS)
def test_no_job_is_lost_when_a_process_is_killed(product: Product, receiver: Receiver, victim: str) -> None:
    before = submit_mixture(product, receiver, 12)
    pid = VICTIMS[victim](product)
    product.kill(pid)
    after = submit_mixture(product, receiver, 12)
    assert_all_ended_once(product, receiver, before + after)
    wait_until(lambda: pid not in product.pids(), seconds=60, what="the killed process is gone")


def test_a_killed_supervisor_leaves_nothing_running_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "var") as product, connected_receiver(product) as receiver:
        jobs = submit_mixture(product, receiver, 12)
        assert product.supervisor is not None
        product.kill(product.supervisor.pid)
        product.supervisor.wait(timeout=60)
        wait_until(lambda: product.pids() == [], seconds=60, what="nothing runs any more")
        product.start()
        assert_all_ended_once(product, receiver, jobs)


def test_a_job_that_kills_its_worker_each_time_is_held_after_the_third_crash(product: Product) -> None:
    poison = product.submit(type="sleep", payload={"seconds": 600}, timeout_seconds=3600)
    kills = 0
    while (state := await_run_or_hold(product, poison)) == "executing":
        before = product.job(poison)["crash_count"]
        product.kill(product.await_pid("handlers"))
        kills += 1
        wait_until(
            lambda before=before: product.job(poison)["crash_count"] > before,  # type: ignore[misc]
            seconds=60,
            what="the crash is counted",
        )
    # A machine that stands still for longer than the lease is a crash, too.
    assert (state, product.job(poison)["crash_count"]) == ("suspended", 3)
    assert 0 < kills <= 3
    assert product.wait_for_end([product.submit(type="echo", payload="still works")])


def await_run_or_hold(product: Product, job_id: str) -> str:
    """The state of a job that runs by now, or is held."""

    def find() -> str | None:
        state: str = product.job(job_id)["state"]
        return state if state in ("executing", "suspended") else None

    found: str = wait_until(find, seconds=60, what="the job runs, or is held")
    return found


def test_a_timeout_ends_a_run_that_does_not_end_itself(calm_product: Product) -> None:
    job_id = calm_product.submit(type="sleep", payload={"seconds": 600}, timeout_seconds=1, max_attempts=1)
    job = calm_product.wait_for_end([job_id])[job_id]
    assert (job["state"], job["error"]["code"], job["crash_count"]) == ("discarded", "timed-out", 0)
