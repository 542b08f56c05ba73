"""What the operator's scraper sees of a running product: every job counted once, by whichever process did what."""

from __future__ import annotations

from tests.journeys.product import Product, scrape, value, wait_until
from tests.journeys.receiver import Receiver
from tests.metering import Series

ECHOES, COUNTS = 60, 20
LIFE: dict[str, dict[str, str]] = {
    "jobs_accepted_total": {},
    "jobs_started_total": {},
    "job_wait_seconds_count": {},
    "runs_recorded_total": {"outcome": "completed"},
    "run_seconds_count": {},
    "jobs_finished_total": {"state": "completed"},
}


def counted(before: Series, after: Series, executor: str) -> dict[str, float]:
    """By how much each step of a job's life moved for an executor."""
    return {
        name: value(after, name, executor=executor, **labels) - value(before, name, executor=executor, **labels)
        for name, labels in LIFE.items()
    }


def test_after_so_many_jobs_every_counter_says_exactly_so_many(product: Product, receiver: Receiver) -> None:
    before = scrape(product)
    jobs = [product.submit(type="echo", payload=number) for number in range(ECHOES)]
    told = [
        product.submit(type="text.count", payload={"text": "a b"}, callback_url=receiver.url) for _ in range(COUNTS)
    ]
    product.wait_for_end(jobs + told)

    def moved(name: str, **labels: str) -> float:
        return value(scrape(product), name, **labels) - value(before, name, **labels)

    # The receiver knows of a callback before we have written that it does.
    wait_until(lambda: moved("deliveries_total", outcome="delivered") >= COUNTS, seconds=60, what="callbacks recorded")
    after = scrape(product)
    assert counted(before, after, "handler") == dict.fromkeys(LIFE, ECHOES)
    assert counted(before, after, "http") == dict.fromkeys(LIFE, COUNTS)
    assert moved("deliveries_total", outcome="delivered") == COUNTS
    assert moved("egress_requests_total", outcome="answered") == 2 * COUNTS
    assert moved("http_requests_total", method="POST", route="v1/jobs", status="201") == ECHOES + COUNTS
    for pool, count in (("handlers", ECHOES), ("egress", COUNTS), ("deliveries", COUNTS)):
        assert moved("claimed_total", pool=pool) == count
        assert 0 < moved("messages_published_total", pool=pool) <= count


def test_the_present_is_shown_and_counters_outlive_their_processes(product: Product) -> None:
    job = product.submit(type="echo", payload=1)
    product.wait_for_end([job])
    before = scrape(product)
    for name in ("handlers", "dispatcher"):
        product.kill(product.await_pid(name))
    again = product.submit(type="echo", payload=2)
    product.wait_for_end([again])

    def is_calm() -> bool:
        shown = scrape(product)
        slots = [value(shown, "worker_slots_free", pool=pool) for pool in ("handlers", "egress", "deliveries")]
        # What others have left to wait for a day or a backoff stays.
        held = sum(
            count
            for (name, labels), count in shown.items()
            if name == "jobservice_unfinished" and dict(labels)["state"] in ("dispatched", "executing", "delivering")
        )
        return all(count > 0 for count in slots) and held == 0

    wait_until(is_calm, seconds=60, what="free slots and nothing at work", log=lambda: product.log)
    after = scrape(product)
    fallen = [key for key in before if key[0].endswith(("_total", "_count")) and after.get(key, 0.0) < before[key]]
    assert fallen == []
    assert value(after, "jobs_finished_total", executor="handler", state="completed") > value(
        before, "jobs_finished_total", executor="handler", state="completed"
    )
