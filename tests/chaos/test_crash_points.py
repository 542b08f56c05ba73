"""A process dies at each crash point, once and on its second visit, while jobs flow: none is lost, none ends twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator

import pytest

from tests.chaos.orders import Order, one_of_each
from tests.chaos.site import Site, running_site, until
from tests.chaos.sizes import IS_LONG
from tests.chaos.waves import PROVOKED_BY, WAVES
from tests.journeys.product import wait_until

VISITS = [1, 2] if IS_LONG else [1]
PATIENCE_SECONDS = 180.0
PROVOKE_AFTER_SECONDS = 6.0
STOP_TRIES = 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("chaos")) as site:
        yield site
        site.assert_nothing_is_lost()


@pytest.fixture(autouse=True)
def _all_is_well_before_and_afterwards(site: Site) -> Iterator[None]:
    site.wait_for_workers()
    yield
    site.assert_invariants_hold()


def submit_until_fired(site: Site, points: Iterable[str]) -> None:
    """Submit jobs again and again until a process has died at each point."""
    began = time.monotonic()
    waiting = set(points)
    orders = one_of_each(random.Random(0), callback_url=site.endpoint.url)
    while waiting and time.monotonic() < began + PATIENCE_SECONDS:
        for order in orders:
            site.driver.submit([order])
        waiting = unfired(site, waiting, seconds=0.5)
        if waiting and time.monotonic() > began + PROVOKE_AFTER_SECONDS:
            provoke(site, waiting)
            waiting = unfired(site, waiting, seconds=PROVOKE_AFTER_SECONDS)
        # A handful of long runs is enough, and two processes take their time for them.
        orders = [order for order in orders if not order.is_long]
    assert waiting == set(), f"nobody came by {waiting}:\n{site.product.log[-3000:]}"


def unfired(site: Site, points: set[str], *, seconds: float) -> set[str]:
    """Those at which no process has died; waits until there is one less."""
    until(lambda: any(map(site.has_fired, points)), seconds=seconds)
    return {point for point in points if not site.has_fired(point)}


def provoke(site: Site, waiting: Iterable[str]) -> None:
    for victim in {PROVOKED_BY[point] for point in waiting if point in PROVOKED_BY}:
        pids = site.product.pids("handlers" if victim == "child" else victim)
        if pids:
            site.product.kill(pids[-1] if victim == "child" else pids[0])


@pytest.mark.parametrize("visit", VISITS)
@pytest.mark.parametrize("points", WAVES, ids="+".join)
def test_no_job_is_lost_when_processes_die_at(site: Site, points: tuple[str, ...], visit: int) -> None:
    for point in points:
        site.arm(point, visit=visit)
    submit_until_fired(site, points)


@pytest.mark.parametrize("visit", VISITS)
def test_no_job_is_lost_when_the_watchdog_dies_with_the_process_it_killed(site: Site, visit: int) -> None:
    site.arm("watchdog.killed", visit=visit)
    deaf = {"type": "chaos.deaf", "payload": {"seconds": 20}, "timeout_seconds": 1, "max_attempts": 1}
    for _ in range(visit):
        site.driver.submit([Order(deaf, end="discarded")])
    wait_until(lambda: site.has_fired("watchdog.killed"), seconds=PATIENCE_SECONDS, what="died at watchdog.killed")


@pytest.mark.parametrize("point", ["release.before_commit", "release.after_commit"])
def test_no_job_is_lost_when_a_process_dies_that_gives_its_job_back(site: Site, point: str) -> None:
    site.arm(point)
    # Longer than any grace, so that they have to be given back; nobody waits for their ends.
    jobs = site.driver.submit([Order({"type": "chaos.work", "payload": {"seconds": 50}}, end="cancelled")] * 2)
    wait_until(lambda: site.count_jobs("executing") == 2, seconds=60, what="both jobs run")
    os.kill(site.product.await_pid("handlers"), signal.SIGTERM)
    wait_until(lambda: site.has_fired(point), seconds=PATIENCE_SECONDS, what=f"died at {point}")
    for job in jobs:
        site.driver.ask(f"/v1/jobs/{job}/cancel")


@pytest.mark.parametrize("point", ["dispatch.before_give_back", "dispatch.given_back"])
def test_no_job_is_lost_when_the_dispatcher_dies_giving_claims_back(site: Site, point: str) -> None:
    site.arm(point)
    for _ in range(STOP_TRIES):
        stop_a_dispatcher_that_publishes(site)
        if until(lambda: site.has_fired(point), seconds=PROVOKE_AFTER_SECONDS):
            return
    raise AssertionError(f"nobody died at {point}:\n{site.product.log[-3000:]}")


def stop_a_dispatcher_that_publishes(site: Site) -> None:
    """Nothing but time says that it has heard of the stop: on a busy machine it may publish all before."""
    broker, dispatcher = site.product.await_pid("valkey"), site.product.await_pid("dispatcher")
    os.kill(broker, signal.SIGSTOP)
    try:
        # Each travels alone: the first message hangs in the broker, the others wait behind it.
        site.driver.submit([Order({"type": "chaos.work", "payload": {}, "queue": "back"}) for _ in range(4)])
        wait_until(lambda: site.count_jobs("dispatched") >= 2, seconds=60, what="several jobs are claimed")
        os.kill(dispatcher, signal.SIGTERM)
        time.sleep(0.3)
    finally:
        os.kill(broker, signal.SIGCONT)


def test_a_wish_to_cancel_is_heeded_once_when_the_web_dies_of_it(site: Site) -> None:
    [job] = site.driver.submit([Order({"type": "echo", "delay_seconds": 3600}, end="cancelled")])
    site.arm("cancel.before_commit")
    assert site.driver.ask(f"/v1/jobs/{job}/cancel")["state"] == "cancelled"
    assert site.has_fired("cancel.before_commit")


def test_a_wish_to_retry_is_heeded_once_when_the_web_dies_of_it(site: Site) -> None:
    failing = {"type": "fail", "payload": {"times": 1}, "retry": {"initial_seconds": 3600}}
    [job] = site.driver.submit([Order(failing)])
    wait_until(lambda: site.count_jobs("retryable") == 1, seconds=60, what="the job waits for its backoff")
    site.arm("retry.before_commit")
    assert site.driver.ask(f"/v1/jobs/{job}/retry")["id"] == job
    assert site.has_fired("retry.before_commit")


def test_a_job_expires_once_when_the_dispatcher_dies_of_it(site: Site) -> None:
    worker = site.product.await_pid("handlers")
    site.arm("expire.before_commit")
    os.kill(worker, signal.SIGSTOP)
    try:
        site.driver.submit([Order({"type": "echo", "start_deadline_seconds": 1}, end="cancelled")])
        wait_until(lambda: site.has_fired("expire.before_commit"), seconds=PATIENCE_SECONDS, what="the job expires")
        wait_until(lambda: site.count_jobs("available", "dispatched") == 0, seconds=60, what="it is over")
    finally:
        os.kill(worker, signal.SIGCONT)


def test_no_job_is_lost_when_the_dispatcher_dies_putting_a_lane_to_sleep(site: Site) -> None:
    site.driver.submit([Order({"type": "echo", "queue": "seldom"})])
    site.arm("lanes.before_sleep")
    wait_until(lambda: site.has_fired("lanes.before_sleep"), seconds=PATIENCE_SECONDS, what="a lane falls asleep")
    site.driver.submit([Order({"type": "echo", "queue": "seldom"})])
