"""The whole product under seeded, overlapping faults while thousands of jobs pass: nothing promised is lost.

The short form is for every change; the long one (`make chaos`) is the bar before a release.
"""

from __future__ import annotations

import bisect
import random
import statistics
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.ids import JOB, show_id
from tests.chaos.driver import in_threads
from tests.chaos.ledger import Ledger, Run
from tests.chaos.nemesis import Death, Nemesis
from tests.chaos.orders import mix_orders
from tests.chaos.proxy import Proxy
from tests.chaos.site import Site, running_site_behind_proxies
from tests.chaos.sizes import IS_LONG, SEEDS
from tests.journeys.product import scrape, value

JOBS, KILLS, SECONDS = (10_000, 500, 540.0) if IS_LONG else (2_000, 100, 100.0)
# Proof that the faults bite: writes that came too late, and changed nothing.
STALE_WRITES = 50 if IS_LONG else 10
PAUSE_SECONDS = 0.75
DRIVER_THREADS = 6


@pytest.fixture(params=SEEDS, ids=lambda seed: f"seed-{seed}")
def seed(request: pytest.FixtureRequest) -> int:
    chosen: int = request.param
    return chosen


@pytest.fixture
def site_and_proxies(tmp_path: Path, seed: int) -> Iterator[tuple[Site, dict[str, Proxy]]]:
    with running_site_behind_proxies(tmp_path, seed=seed) as both:
        yield both


def test_no_job_is_lost_whatever_dies(
    site_and_proxies: tuple[Site, dict[str, Proxy]], seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, proxies = site_and_proxies
    nemesis = Nemesis(site, proxies, seed=seed, log=tmp_path / "nemesis.jsonl")
    orders = mix_orders(random.Random(seed), JOBS, callback_url=site.endpoint.url)
    is_submitted = threading.Event()

    def submit() -> None:
        try:
            site.driver.submit_all(orders, threads=DRIVER_THREADS, seconds=SECONDS)
        finally:
            is_submitted.set()

    in_threads([submit, lambda: nemesis.run(kills=KILLS, pause_seconds=PAUSE_SECONDS, is_over=is_submitted.is_set)])
    site.product.wait_until_ready()
    nemesis.provoke_stale_writes(lambda: count_stale_writes(site), wanted=STALE_WRITES)
    site.assert_nothing_is_lost()
    stale = count_stale_writes(site)
    with capsys.disabled():
        print("\n" + describe(site, nemesis, proxies, seed=seed, stale=stale))
    assert len(site.ledger.orders) >= JOBS
    assert nemesis.kills.total() >= KILLS
    assert stale >= STALE_WRITES
    assert deaths_of_nobodys_doing(site, nemesis.deaths) == []


def count_stale_writes(site: Site) -> float:
    series = scrape(site.product)
    return sum(value(series, "stale_writes_refused_total", kind=kind) for kind in ("job", "delivery"))


def deaths_of_nobodys_doing(site: Site, deaths: list[Death]) -> list[Run]:
    """Runs of which a worker wrote that their process died, though nobody killed it."""
    # Of a run that is taken from a silent worker there is no message.
    rows = site.ask("SELECT job_id, epoch FROM attempt WHERE outcome = 'crashed' AND error_id IS NOT NULL")
    blamed, killed = {(show_id(JOB, job), epoch) for job, epoch in rows}, {death.pid for death in deaths}
    return [run for run in site.ledger.runs() if (run.job, run.epoch) in blamed and run.pid not in killed]


def describe(site: Site, nemesis: Nemesis, proxies: dict[str, Proxy], *, seed: int, stale: float) -> str:
    """The figures of a run on one line."""
    (crashes,) = site.ask("SELECT (SELECT coalesce(sum(crash_count), 0) FROM job WHERE final_state IS NOT NULL)")[0]
    again = sorted(seconds_until_run_again(site.ledger, nemesis.deaths))
    spread = f"p50 {statistics.median(again):.1f} s, p99 {again[-1 - len(again) // 100]:.1f} s" if again else "none"
    freezes = sum(count for name, count in nemesis.faults.items() if name.startswith("freeze"))
    others = {name: nemesis.faults[name] for name in ("partition", "wipe", "cut", "delay")}
    swallowed = sum(proxy.commits_swallowed for proxy in proxies.values())
    return (
        f"seed {seed}: {len(site.ledger.orders)} jobs, {nemesis.kills.total()} kills {dict(nemesis.kills)}, "
        f"{freezes} freezes, {others}, {swallowed} commits swallowed, {site.driver.answers_lost} answers "
        f"lost, answers {site.driver.statuses}, {stale:.0f} stale writes refused, {crashes} crashes counted, "
        f"{len(site.ledger.let_go)} held, run again after a death: {len(again)} jobs, {spread}"
    )


def seconds_until_run_again(ledger: Ledger, deaths: list[Death]) -> list[float]:
    """For each run that a killed process left: how long until the same job ran again."""
    died_at = {death.pid: death.at for death in deaths}
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in ledger.runs():
        runs[run.job].append(run)
    found = []
    for of_job in runs.values():
        starts = [run.at for run in of_job]
        for run in of_job:
            at = died_at.get(run.pid)
            next_ = bisect.bisect_right(starts, run.at)
            if at is not None and run.at <= at and (run.ended_at is None or run.ended_at > at) and next_ < len(starts):
                found.append(starts[next_] - at)
    return found
