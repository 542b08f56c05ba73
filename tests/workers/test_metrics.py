"""Metrics of many processes: one folder, seats that outlive their holders, gauges that do not."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import ProgrammingError
from prometheus_client import values

from jobservice import meters
from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.policy import EgressPolicy
from jobservice.env import BASE_DIR
from jobservice.logs import log_event
from jobservice.meters import count_event, keep_metrics_in, read_metric, set_gauge, show_metrics
from jobservice.metric_folder import FILE_BYTES, MetricFolder
from jobservice.metrics import BOUNDED, METRICS, MOVES, UNFINISHED, WORKERS
from tests.egress.servers import LOCAL, fixed, peer
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, outcome_of, record, start
from tests.metering import Moment, parse_metrics
from tests.roles import as_role
from tests.workers.forks import ForkedChild, forked
from workers import backlog_gauges
from workers.chores import all_chores, do_due_chores

ACCEPTED = "jobservice_jobs_accepted_total"
HANDLER = {"executor": "handler"}


def accept(count: int = 1) -> None:
    for _ in range(count):
        count_event("job_accepted", "info", HANDLER)


def accepted() -> float:
    return read_metric(ACCEPTED, **HANDLER)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process shares its metrics here, until the end of the test."""
    monkeypatch.setattr(meters, "_meters", meters._meters)
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    keep_metrics_in(tmp_path / "metrics")
    return tmp_path / "metrics"


def count_in_child(count: int) -> int:
    """A process that counts and ends; its pid."""
    with forked(lambda child: accept(count)) as child:
        child.await_end()
        return child.pid


def test_every_process_of_the_folder_is_in_the_sum(folder: Path) -> None:
    accept(2)

    def body(child: ForkedChild) -> None:
        accept(3)
        child.tell()
        child.hear()

    with forked(body) as one, forked(body) as another:
        one.hear(), another.hear()
        assert accepted() == 8
        accept()
        assert accepted() == 9


def test_a_killed_process_leaves_its_counts_and_its_seat_to_the_next(folder: Path) -> None:
    def body(child: ForkedChild) -> None:
        accept(3)
        child.tell()
        child.hear()

    with forked(body) as child:
        child.hear()
    files = sorted(path.name for path in folder.iterdir())
    for _ in range(5):
        count_in_child(2)
    assert accepted() == 13
    assert sorted(path.name for path in folder.iterdir()) == files


def test_a_process_counts_on_where_the_last_one_on_its_seat_ended(folder: Path) -> None:
    heard: list[bytes] = []

    def body(child: ForkedChild) -> None:
        accept(1)
        child.tell(str(meters._meters.folder.seat()).encode())  # type: ignore[union-attr]

    for _ in range(3):
        with forked(body) as child:
            heard.append(child.hear())
            child.await_end()
    assert heard == [b"1"] * 3
    assert accepted() == 3


def test_a_gauge_of_a_dead_process_is_not_shown(folder: Path) -> None:
    def body(child: ForkedChild) -> None:
        set_gauge(WORKERS, 7, pool="egress")
        child.tell()
        child.hear()

    with forked(body) as child:
        child.hear()
        assert read_metric("jobservice_workers", pool="egress") == 7
    assert read_metric("jobservice_workers", pool="egress") == 0


def test_the_latest_word_on_a_gauge_counts_and_a_new_holder_of_a_seat_repeats_no_old_one(folder: Path) -> None:
    set_gauge(WORKERS, 1, pool="egress")

    def say(child: ForkedChild) -> None:
        set_gauge(WORKERS, 2, pool="egress")
        child.tell()
        child.hear()

    with forked(say) as child:
        child.hear()
        assert read_metric("jobservice_workers", pool="egress") == 2

    def only_count(child: ForkedChild) -> None:
        accept()
        child.tell()
        child.hear()

    with forked(only_count) as successor:
        successor.hear()
        assert read_metric("jobservice_workers", pool="egress") == 1


def test_a_child_forked_while_a_thread_counts_can_count(folder: Path) -> None:
    """A lock that the other thread holds at the moment of the fork would never be free in the child."""
    is_over = threading.Event()
    counted = []

    def count() -> None:
        while not is_over.is_set():
            accept()
            counted.append(1)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(30):
            count_in_child(1)
    finally:
        is_over.set()
        thread.join()
    assert accepted() == 30 + len(counted)


def test_the_folder_is_wiped_but_for_the_seats_of_the_living(folder: Path) -> None:
    accept()
    count_in_child(5)
    MetricFolder(folder).wipe()
    assert accepted() == 1
    assert {path.name for path in folder.iterdir()} == {"seat-0", *(f"{kind}_0.db" for kind in FILE_BYTES)}


def test_the_values_of_one_process_fit_the_space_that_is_set_aside_for_them(folder: Path) -> None:
    """On a full disk a file that had to grow would kill the process."""
    for event, moves in MOVES.items():
        for move in moves:
            for labels in _every_label(move.metric.labels):
                count_event(event, "warning", {**labels, "count": 1, "duration_ms": 1, "wait_ms": 1, "latency_ms": 1})
    for kind, size in FILE_BYTES.items():
        assert (folder / f"{kind}_0.db").stat().st_size == size
    used = {kind: int.from_bytes((folder / f"{kind}_0.db").read_bytes()[:4], "little") for kind in FILE_BYTES}
    assert all(used[kind] < FILE_BYTES[kind] * 0.75 for kind in FILE_BYTES), used


def _every_label(labels: Any) -> Iterator[dict[str, str]]:
    """Every value of each label; of one that the code bounds, as many as it may well have."""
    texts = {name: known or tuple(f"{name}-{n:030d}" for n in range(60)) for name, known in labels.items()}
    if set(labels) == {"method", "route", "status"}:
        texts = {"method": ("GET",), "route": texts["route"], "status": tuple(map(str, range(200, 208)))}
    names = list(texts)
    combined: list[dict[str, str]] = [{}]
    for name in names:
        combined = [{**one, name: text} for one in combined for text in texts[name]]
    yield from combined


def test_a_folder_that_cannot_be_used_is_said_and_hurts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    moment = Moment()
    keep_metrics_in(tmp_path / "file" / "metrics")
    assert "metrics_unavailable" in caplog.text
    accept()
    assert moment.moved(ACCEPTED, **HANDLER) == 1


def test_a_folder_that_is_lost_later_hurts_nobody(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def body(child: ForkedChild) -> None:
        accept(3)
        child.tell(b"y" if accepted() == 3 else b"n")

    shutil.rmtree(folder)
    with forked(body) as child:
        assert child.hear() == b"y"


def test_no_metric_has_a_label_that_a_stranger_could_fill() -> None:
    """What the code bounds is named here one by one; everything else is a closed list."""
    bounded = {(metric.name, name) for metric in METRICS for name, known in metric.labels.items() if known is BOUNDED}
    assert bounded == {
        ("jobservice_messages_refused_total", "reason"),
        ("jobservice_http_requests_total", "route"),
        ("jobservice_http_requests_total", "status"),
        ("jobservice_http_request_seconds", "route"),
        ("jobservice_warnings_total", "event"),
        ("jobservice_unfinished", "state"),
    }
    names = {name for metric in METRICS for name in metric.labels}
    assert names <= {"executor", "pool", "outcome", "state", "reason", "kind", "method", "route", "status", "event"}


def test_the_operators_page_lists_every_metric() -> None:
    page = (BASE_DIR / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(jobservice_\w+)` \| ([^|]*) \| ([^|]*) \|$", page, re.MULTILINE)
    assert rows == [(metric.name, ", ".join(metric.labels), metric.help) for metric in METRICS]


def test_a_value_outside_its_list_is_counted_as_other() -> None:
    moment = Moment()
    count_event("job_accepted", "info", {"executor": "canary"})
    assert moment.moved(ACCEPTED, executor="other") == 1
    assert "canary" not in show_metrics().decode()


def test_every_warning_is_counted_by_name() -> None:
    moment = Moment()
    log_event("lease_renewal_failed", level="warning", error_class="X")
    log_event("lease_renewal_failed", level="error", error_class="X")
    log_event("lease_renewal_failed", error_class="X")
    assert moment.moved("jobservice_warnings_total", event="lease_renewal_failed") == 2


@pytest.mark.django_db
def test_expired_leases_crashes_and_stale_writes_are_counted(tenant: Tenant) -> None:
    moment = Moment()
    lost, dead = make_job(tenant), make_job(tenant)
    claim(1)
    (started,) = start(claim(1))
    for job in (lost, dead):
        end_lease(job)
    with as_role("dispatcher"):
        do_due_chores(all_chores())
    record(outcome_of(started))
    assert moment.moved("jobservice_leases_expired_total", state="dispatched") == 1
    assert moment.moved("jobservice_leases_expired_total", state="executing") == 1
    assert moment.moved("jobservice_runs_recorded_total", executor="handler", outcome="crashed") == 1
    assert moment.moved("jobservice_stale_writes_refused_total", kind="job") == 1
    assert moment.moved("jobservice_jobs_finished_total", executor="handler", state="completed") == 0


@pytest.mark.parametrize(
    ("url", "headers", "reason"),
    [
        ("ftp://example.com/", {}, "url"),
        ("https://example.com/", {"Host": "x"}, "header"),
        ("https://localhost/", {}, "name"),
        ("https://10.0.0.1/", {}, "address"),
        ("http://example.com/", {}, "origin"),
        ("https://jobs.example.com/", {}, "own"),
    ],
)
def test_a_refused_request_is_counted_by_the_rule_it_breaks(url: str, headers: dict[str, str], reason: str) -> None:
    async def send() -> None:
        async with EgressClient(EgressPolicy(own=(("jobs.example.com", 443),))) as client:
            await client.send(EgressRequest("GET", url, headers=headers))

    moment = Moment()
    with pytest.raises(EgressFailed):
        asyncio.run(send())
    assert moment.moved("jobservice_egress_refusals_total", reason=reason) == 1
    assert moment.moved("jobservice_egress_requests_total", outcome="refused") == 1


def test_an_answered_request_is_counted_as_one() -> None:
    async def send() -> None:
        async with (
            peer(fixed(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")) as server,
            EgressClient(LOCAL) as client,
        ):
            await client.send(EgressRequest("GET", server.url()))

    moment = Moment()
    asyncio.run(send())
    assert moment.moved("jobservice_egress_requests_total", outcome="answered") == 1


@pytest.mark.django_db
def test_the_dispatcher_shows_what_waits(tenant: Tenant) -> None:
    for _ in range(3):
        make_job(tenant)
    claim(1)
    with as_role("dispatcher"):
        backlog_gauges.show_backlog()
    shown = parse_metrics(show_metrics().decode())
    states = {"scheduled": 0, "available": 2, "dispatched": 1, "executing": 0, "retryable": 0, "suspended": 0}
    for state, count in states.items():
        assert shown["jobservice_unfinished", frozenset({"pool": "handlers", "state": state}.items())] == count
    assert shown["jobservice_unfinished", frozenset({"pool": "deliveries", "state": "pending"}.items())] == 0
    assert shown["jobservice_worker_slots", frozenset({"pool": "egress"}.items())] == 0
    assert UNFINISHED.name == "jobservice_unfinished"


@pytest.mark.django_db
def test_counts_that_cannot_be_read_do_not_hold_up_dispatching(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ProgrammingError

    moment = Moment()
    monkeypatch.setattr(backlog_gauges, "read_backlog", refuse)
    backlog_gauges.show_backlog()
    assert moment.moved("jobservice_warnings_total", event="backlog_unread") == 1
    assert moment.moved("jobservice_unfinished_read_at_seconds") == 0
