"""A bulk action of the whole product: in the background of the web, and over the death of a web process."""

from __future__ import annotations

import os
import signal

import psycopg

from tests.chaos.site import superuser_url
from tests.journeys.product import AWAY, Product, wait_until

JOBS = 600


def test_a_bulk_action_goes_on_over_the_death_of_a_web_process(product: Product) -> None:
    jobs = [{"type": "echo", "queue": "journey.bulk", "delay_seconds": 3600}] * JOBS
    status, _ = product.call("POST", "/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs})
    assert status == 200
    status, action = product.call(
        "POST", "/v1/jobs/bulk-actions", {"action": "cancel", "filter": {"queue": "journey.bulk"}}
    )
    assert (status, action["status"], action["matched"]) == (202, "running", JOBS)
    path = f"/v1/bulk-actions/{action['id']}"

    def read() -> dict[str, object]:
        try:
            status, shown = product.call("GET", path)
        except AWAY:
            return {}
        return shown if status == 200 else {}

    wait_until(lambda: int(str(read().get("done", 0))) > 0, seconds=60, what="it comes forward")
    for pid in product.pids("web"):
        os.kill(pid, signal.SIGKILL)
    end_lease(product)
    wait_until(lambda: read().get("status") == "completed", seconds=120, what="it is over", log=lambda: product.log)
    shown = read()
    assert (shown["done"], shown["skipped"]) == (JOBS, 0)
    cancelled = product.call("GET", "/v1/jobs?queue=journey.bulk&state=scheduled")[1]["data"]
    assert cancelled == []
    job_id = product.call("GET", "/v1/jobs?queue=journey.bulk&limit=1")[1]["data"][0]["id"]
    told = [event["type"] for event in product.call("GET", f"/v1/jobs/{job_id}/events")[1]["data"]]
    assert told.count("job.cancelled") == 1


def end_lease(product: Product) -> None:
    """As if the thirty seconds were over that a killed holder's lease goes on."""
    with psycopg.connect(superuser_url(product), autocommit=True) as connection:
        connection.execute("UPDATE bulk_action SET leased_until = clock_timestamp() WHERE leased_until IS NOT NULL")
