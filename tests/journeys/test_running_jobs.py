"""A run of the whole product is watched and stopped from outside."""

from __future__ import annotations

from tests.journeys.conftest import CALM_LEASE_SECONDS
from tests.journeys.product import Product, wait_until
from tests.moving_clock import MovingClock


def test_a_cancelled_run_ends_soon_and_its_worker_goes_on(calm_product: Product) -> None:
    product = calm_product
    job_id = product.submit(type="sleep", payload={"seconds": 600}, timeout_seconds=3600)
    wait_until(lambda: product.job(job_id)["state"] == "executing", seconds=60, what="the job runs")
    children = product.pids("handlers")
    clock = MovingClock()
    status, asked_job = product.call("POST", f"/v1/jobs/{job_id}/cancel")
    assert (status, asked_job["cancel_requested"]) == (200, True)

    def is_over() -> bool:
        clock.look()
        return product.job(job_id)["finished_at"] is not None

    wait_until(is_over, seconds=60, what="it is over")
    job = product.job(job_id)
    assert (job["state"], job["error"]["code"], job["crash_count"]) == ("cancelled", "cancelled", 0)
    # That it is told within two seconds is in test_handler_processes.py; here: not only when its lease is renewed.
    assert clock.seconds < CALM_LEASE_SECONDS / 3
    (attempt,) = product.call("GET", f"/v1/jobs/{job_id}/attempts")[1]["data"]
    assert attempt["outcome"] == "cancelled"
    assert product.wait_for_end([product.submit(type="echo", payload="goes on")])
    assert product.pids("handlers") == children


def test_an_installed_handler_is_seen_at_its_work_and_stopped(calm_product: Product) -> None:
    product = calm_product
    job_id = product.submit(type="journey.walk", payload={"steps": 600}, timeout_seconds=3600)
    wait_until(lambda: (product.job(job_id)["progress"] or {}).get("percent", 0) > 2, seconds=60, what="progress")
    job = product.job(job_id)
    assert (job["queue"], job["state"]) == ("walks", "executing")
    assert job["progress"]["message"].startswith("step ")
    product.call("POST", f"/v1/jobs/{job_id}/cancel")
    assert product.wait_for_end([job_id])[job_id]["state"] == "cancelled"
    (attempt,) = product.call("GET", f"/v1/jobs/{job_id}/attempts")[1]["data"]
    assert [line["message"] for line in attempt["log"]][:2] == ["walked past 0", "walked past 1"]
    assert "walked past" not in product.log
