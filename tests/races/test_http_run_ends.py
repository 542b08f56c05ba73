"""How runs of http jobs end in a real egress process, against peers on real sockets: cancelled, out of time, later."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.completion import complete_run
from jobservice.jobs.completion_token import RunRef, read_token
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import Attempt, Job, JobType, LiveJob
from jobservice.jobs.outcomes import Verdict
from jobservice.jobs.rescue import reap_leases
from jobservice.webhooks.models import Event
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, end_lease, job_uuid, live
from tests.jobs.throttling import let_go, wait_out
from tests.races.test_delivery_races import PATIENCE_SECONDS, start_process
from tests.roles import as_role
from tests.serving import serving
from workers.egress_pool import EgressProcess

CANCEL_SECONDS = 2.0


class Endpoint(ThreadingHTTPServer):
    """Does with each request what the test says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.act: Callable[[_Handler], None] = lambda _handler: None
        self.arrived = threading.Semaphore(0)
        self.cut = threading.Semaphore(0)
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.arrived.release()
        self.server.act(self)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def hang(handler: _Handler) -> None:
    """Never answer; note when the caller hangs up."""
    with contextlib.suppress(OSError):
        handler.connection.recv(1)
    handler.server.cut.release()


def drip(handler: _Handler) -> None:
    """An answer without an end, a byte at a time."""
    with contextlib.suppress(OSError):
        handler.answer(200)
        while True:
            handler.wfile.write(b".")
            time.sleep(0.05)
    handler.server.cut.release()


def take_later(handler: _Handler) -> None:
    handler.answer(202, Job_Completion="async")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving(Endpoint()) as server:
        yield server


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, racing_tenant: Tenant) -> Iterator[EgressProcess]:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, public_url="https://jobs.example"))
    monkeypatch.setattr("jobservice.jobs.completion.wake_dispatcher", lambda: None)
    started = start_process(monkeypatch, grace_seconds=0)
    yield started
    if not started._is_over.is_set():
        started.stop()


def send(tenant: Tenant, endpoint: Endpoint, process: EgressProcess, **fields: Any) -> dict[str, Any]:
    with as_role("web"):
        put_job_type(tenant.id, "work.do", {"executor": "http", "http": {"url": endpoint.url}})
    job = make_job(tenant, type="work.do", **fields)
    process.jobs.admit(claim(pool="egress"))
    assert endpoint.arrived.acquire(timeout=PATIENCE_SECONDS)
    return job


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_over(job: dict[str, Any]) -> bool:
    return Job.objects.get(id=job_uuid(job)).final_state is not None


def complete(endpoint: Endpoint) -> dict[str, Any]:
    """As the last request's address says."""
    run = read_token(endpoint.headers[-1]["job-complete-url"].rpartition("/")[2])
    assert run is not None
    with as_role("web"):
        return complete_run(run, Verdict("completed", result=b"1"))


def test_a_cancelled_run_is_aborted_within_two_seconds_and_recorded_as_cancelled(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    endpoint.act = hang
    took: list[float] = []
    # A machine that stands still does not do so three times.
    while len(took) < 3 and min(took, default=9.0) > CANCEL_SECONDS:
        job = send(racing_tenant, endpoint, process)
        began = time.monotonic()
        with as_role("web"):
            cancel_job(racing_tenant.id, job_uuid(job))
        assert endpoint.cut.acquire(timeout=PATIENCE_SECONDS), "the peer saw that nobody listens any more"
        took.append(time.monotonic() - began)
        wait_until(lambda job=job: is_over(job))  # type: ignore[misc]  # mypy does not infer defaults of lambdas
        row = Job.objects.get(id=job_uuid(job))
        assert (row.final_state, row.error_code) == ("cancelled", "cancelled")
        assert Attempt.objects.get(job_id=row.id).outcome == "cancelled"
        assert Event.objects.filter(job_id=row.id, type="job.cancelled").count() == 1
    assert min(took) <= CANCEL_SECONDS


def test_a_peer_that_drips_is_cut_at_the_deadline_and_recorded_once(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    endpoint.act = drip
    # Long enough for the call to arrive on a machine that stands still for a moment.
    job = send(racing_tenant, endpoint, process, timeout_seconds=3, max_attempts=1)
    assert endpoint.cut.acquire(timeout=PATIENCE_SECONDS)
    wait_until(lambda: is_over(job))
    row = Job.objects.get(id=job_uuid(job))
    assert (row.final_state, row.error_code) == ("discarded", "timed-out")
    attempt = Attempt.objects.get()
    assert attempt.outcome == "timed-out"
    assert (attempt.finished_at - attempt.started_at).total_seconds() >= 3
    assert Event.objects.count() == 1


def test_a_run_that_is_completed_later_leaves_the_process(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    endpoint.act = take_later
    job = send(racing_tenant, endpoint, process, timeout_seconds=600)
    wait_until(lambda: live(job).is_async)
    wait_until(lambda: not process.jobs.flights._flights)
    process.stop()
    row = live(job)
    assert (row.state, row.epoch) == ("executing", 1), "the end of the process is nothing to it"
    assert row.started_at is not None
    assert row.lease_until is not None
    assert 590 < (row.lease_until - row.started_at).total_seconds() < 610
    assert complete(endpoint) == {"id": job["id"], "state": "completed"}
    assert Attempt.objects.get().outcome == "completed"


def test_an_endpoint_that_completes_before_it_answers_costs_nothing(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    answers = []

    def complete_first(handler: _Handler) -> None:
        answers.append(complete(endpoint))
        connections.close_all()
        handler.answer(202, Job_Completion="async")

    # The handler's thread writes as whom it likes: here the test's own superuser.
    endpoint.act = complete_first
    job = send(racing_tenant, endpoint, process)
    wait_until(lambda: not process.jobs.flights._flights)
    assert answers == [{"id": job["id"], "state": "completed"}]
    assert (Attempt.objects.count(), Event.objects.count()) == (1, 1)


def test_a_run_that_nobody_completes_is_timed_out_and_sent_again_under_another_epoch(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    endpoint.act = take_later
    job = send(racing_tenant, endpoint, process, retry={"initial_seconds": 0, "jitter": 0})
    wait_until(lambda: live(job).is_async)
    end_lease(job)
    with as_role("dispatcher"):
        assert reap_leases().timed_out == 1
    LiveJob.objects.update(state="available")
    process.jobs.admit(claim(pool="egress"))
    assert endpoint.arrived.acquire(timeout=PATIENCE_SECONDS)
    epochs = [headers["job-epoch"] for headers in endpoint.headers]
    runs = [read_token(headers["job-complete-url"].rpartition("/")[2]) for headers in endpoint.headers]
    assert (epochs, runs) == (["1", "2"], [RunRef(racing_tenant.id, job_uuid(job), epoch) for epoch in (1, 2)])
    wait_until(lambda: live(job).is_async)
    assert complete(endpoint)["state"] == "completed"


def test_an_endpoint_that_is_gone_switches_its_type_off_and_the_next_job_is_not_sent(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    endpoint.act = lambda handler: handler.answer(410)
    job = send(racing_tenant, endpoint, process)
    wait_until(lambda: is_over(job))
    assert JobType.objects.get().disabled_reason is not None
    held = make_job(racing_tenant, type="work.do")
    process.jobs.admit(claim(pool="egress"))
    assert (live(held).state, live(held).attempt, len(endpoint.headers)) == ("suspended", 0, 1)


def test_an_endpoint_that_says_not_now_is_left_alone_until_then_and_gets_each_job_once_after_it(
    racing_tenant: Tenant, endpoint: Endpoint, process: EgressProcess
) -> None:
    endpoint.act = lambda handler: handler.answer(429, Retry_After="60")
    first = send(racing_tenant, endpoint, process)
    wait_until(lambda: live(first).state == "retryable")
    waiting = [make_job(racing_tenant, type="work.do") for _ in range(30)]
    assert claim(pool="egress") == []
    assert [live(job).attempt for job in waiting] == [0] * 30
    endpoint.act = lambda handler: handler.answer(200)
    wait_out(60)
    for count in (20, 10):
        let_go()
        refs = claim(pool="egress")
        assert len(refs) == count
        process.jobs.admit(refs)
        wait_out(1)
    wait_until(lambda: all(is_over(job) for job in waiting))
    assert len(endpoint.headers) == 31
    assert {headers["job-attempt"] for headers in endpoint.headers} == {"1"}
