"""A run of the whole product is watched and stopped from outside."""

from __future__ import annotations

import time
from pathlib import Path

from tests.journeys.product import Product, running, wait_until


def test_a_cancelled_run_ends_soon_and_its_worker_goes_on(product: Product) -> None:
    job_id = product.submit(type="sleep", payload={"seconds": 600}, timeout_seconds=3600)
    wait_until(lambda: product.job(job_id)["state"] == "executing", seconds=60, what="the job runs")
    children = product.pids("handlers")
    asked = time.monotonic()
    status, asked_job = product.call("POST", f"/v1/jobs/{job_id}/cancel")
    assert (status, asked_job["cancel_requested"]) == (200, True)
    job = product.wait_for_end([job_id])[job_id]
    took = time.monotonic() - asked
    assert (job["state"], job["error"]["code"], job["crash_count"]) == ("cancelled", "cancelled", 0)
    # That it is told within two seconds is in test_handler_processes.py; here a busy machine may take longer.
    assert took < 10, took
    (attempt,) = product.call("GET", f"/v1/jobs/{job_id}/attempts")[1]["data"]
    assert attempt["outcome"] == "cancelled"
    assert product.wait_for_end([product.submit(type="echo", payload="goes on")])
    assert product.pids("handlers") == children


HANDLER = """
from jobservice.handlers import handler

@handler("journey.walk", queue="walks")
def walk(payload, job):
    for step in range(payload["steps"]):
        job.progress(100 * step / payload["steps"], f"step {step}")
        job.log(f"walked past {step}")
        job.sleep(0.1)
"""


def test_an_installed_handler_is_seen_at_its_work_and_stopped(tmp_path: Path) -> None:
    (tmp_path / "walking.py").write_text(HANDLER)
    settings = {"JOBSERVICE_HANDLERS": "walking", "PYTHONPATH": str(tmp_path)}
    with running(tmp_path / "var", **settings) as product:
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
