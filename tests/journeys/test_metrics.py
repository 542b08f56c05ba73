"""What the operator's scraper sees of a running product: every job counted once, by whichever process did what."""

from __future__ import annotations

from tests.journeys.product import Product, scrape, value, wait_until
from tests.journeys.receiver import Receiver
from tests.metering import Series

ECHOES, COUNTS = 60, 20
EXECUTORS, POOLS = ("handler", "http"), ("handlers", "egress", "deliveries")
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


def test_after_so_many_jobs_every_counter_says_exactly_so_many(calm_product: Product, calm_receiver: Receiver) -> None:
    product = calm_product
    before = scrape(product)
    jobs = [product.submit(type="echo", payload=number) for number in range(ECHOES)]
    told = [
        product.submit(type="text.count", payload={"text": "a b"}, callback_url=calm_receiver.url)
        for _ in range(COUNTS)
    ]
    product.wait_for_end(jobs + told)
    expected = {
        **{("handler", name): ECHOES for name in LIFE},
        **{("http", name): COUNTS for name in LIFE},
        ("deliveries_total", ""): COUNTS,
        ("egress_requests_total", ""): 2 * COUNTS,
        ("http_requests_total", ""): ECHOES + COUNTS,
        ("claimed_total", "handlers"): ECHOES,
        ("claimed_total", "egress"): COUNTS,
        ("claimed_total", "deliveries"): COUNTS,
    }
    # What is written, or known to a receiver, is counted a moment later.
    wait_until(lambda: reaches(read_moves(product, before), expected), seconds=60, what="everything is counted")
    assert read_moves(product, before) == expected
    published = {pool: moved(scrape(product), before, "messages_published_total", pool=pool) for pool in POOLS}
    assert all(0 < published[pool] <= expected["claimed_total", pool] for pool in POOLS), published


def moved(after: Series, before: Series, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)


def read_moves(product: Product, before: Series) -> dict[tuple[str, str], float]:
    """By how much each counter that is compared has moved, all of one look."""
    after = scrape(product)
    return {
        **{(executor, name): of for executor in EXECUTORS for name, of in counted(before, after, executor).items()},
        ("deliveries_total", ""): moved(after, before, "deliveries_total", outcome="delivered"),
        ("egress_requests_total", ""): moved(after, before, "egress_requests_total", outcome="answered"),
        ("http_requests_total", ""): moved(
            after, before, "http_requests_total", method="POST", route="v1/jobs", status="201"
        ),
        **{("claimed_total", pool): moved(after, before, "claimed_total", pool=pool) for pool in POOLS},
    }


def reaches(found: dict[tuple[str, str], float], expected: dict[tuple[str, str], int]) -> bool:
    return all(found[name] >= count for name, count in expected.items())


def test_the_present_is_shown_and_counters_outlive_their_processes(calm_product: Product) -> None:
    product = calm_product
    job = product.submit(type="echo", payload=1)
    product.wait_for_end([job])
    before = scrape(product)
    for name in ("handlers", "dispatcher"):
        product.kill(product.await_pid(name))
    again = product.submit(type="echo", payload=2)
    product.wait_for_end([again])

    def is_calm() -> bool:
        shown = scrape(product)
        slots = [value(shown, "worker_slots_free", pool=pool) for pool in POOLS]
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
