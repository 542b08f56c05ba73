"""Deliveries and the egress process with real threads, connections and commits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connections

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.job_types import put_job_type
from jobservice.jobs.models import Job, LiveJob, Worker
from jobservice.webhooks.deliveries import reap_deliveries, start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from jobservice.webhooks.models import Delivery, DeliveryAttempt, LiveDelivery
from tests.egress.servers import LOCAL
from tests.factories import Tenant, make_job
from tests.jobs import dispatching
from tests.roles import as_role
from tests.serving import serving
from tests.webhooks.test_deliveries import end_leases, make_delivery, take_well
from workers import egress_pool
from workers.egress_pool import EgressProcess

Race = Callable[..., list[Any]]

WORKER = new_id()
# For what comes at once unless the machine stands still; whoever waits in vain waits for ever.
PATIENCE_SECONDS = 30.0


def claim_in_bites() -> list[Ref]:
    """Claim until nothing is left."""
    taken: list[Ref] = []
    while batch := claim_deliveries(3, lease_seconds=30):
        taken += batch
    return taken


def test_five_dispatchers_claim_every_delivery_once(racing_tenant: Tenant, race: Race) -> None:
    take_well(racing_tenant)
    for _ in range(30):
        make_delivery(racing_tenant)
    # One that loses every row of a bite to the others stops early, so what is left is claimed at the end.
    taken = [ref for batch in race("dispatcher", *[claim_in_bites] * 5) for ref in batch]
    with as_role("dispatcher"):
        taken += claim_in_bites()
    assert Counter(ref.id for ref in taken) == Counter(LiveDelivery.objects.values_list("delivery_id", flat=True))


def test_of_a_record_and_the_reaper_one_wins_and_nothing_is_torn(racing_tenant: Tenant, race: Race) -> None:
    take_well(racing_tenant)
    for _ in range(20):
        make_delivery(racing_tenant)
    with as_role("dispatcher"):
        refs = claim_deliveries(100, lease_seconds=30)
    with as_role("worker"):
        started = start_deliveries(refs, worker_id=WORKER, lease_seconds=30)
    end_leases()
    results = [DeliveryResult(item.ref, duration_ms=1, status=200, final_state="delivered") for item in started]

    # Two workers and the reaper, all as the test's own superuser: the roles' walls are tested elsewhere.
    first, second, reaped = race(
        "owner", lambda: record_deliveries(results), lambda: record_deliveries(results[::-1]), reap_deliveries
    )
    assert first.recorded + second.recorded + reaped == 20
    ended = set(Delivery.objects.filter(final_state="delivered").values_list("id", flat=True))
    waiting = set(LiveDelivery.objects.filter(state="pending").values_list("delivery_id", flat=True))
    assert (len(ended), len(waiting)) == (first.recorded + second.recorded, reaped)
    assert ended.isdisjoint(waiting)
    assert set(DeliveryAttempt.objects.values_list("delivery_id", flat=True)) == ended


class Endpoint(ThreadingHTTPServer):
    """Answers every POST with 200 once its gate is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.gate = threading.Event()
        self.arrived = threading.Semaphore(0)


class _Answer(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.arrived.release()
        if self.server.gate.wait(PATIENCE_SECONDS):
            self.send_response(200)
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    with serving(server, before_end=server.gate.set):
        yield server


def start_process(monkeypatch: pytest.MonkeyPatch, *, grace_seconds: float) -> EgressProcess:
    monkeypatch.setattr(egress_pool, "wake_dispatcher", lambda: None)
    process = EgressProcess(LOCAL, slots=5, lease_seconds=30, stop_grace_seconds=grace_seconds)
    process.start()
    # A message that comes before would be left to its lease after some seconds.
    for branch in (process.jobs, process.deliveries):
        assert branch._registered.wait(PATIENCE_SECONDS)
    return process


def send_job(tenant: Tenant, endpoint: Endpoint, process: EgressProcess) -> dict[str, Any]:
    url = f"http://127.0.0.1:{endpoint.server_port}/"
    with as_role("web"):
        put_job_type(tenant.id, "work.do", {"executor": "http", "http": {"url": url}})
    job = make_job(tenant, type="work.do", callback_url=url)
    process.jobs.admit(dispatching.claim(pool="egress"))
    assert endpoint.arrived.acquire(timeout=PATIENCE_SECONDS)
    return job


def test_a_stopping_process_lets_a_job_and_its_delivery_end(
    racing_tenant: Tenant, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_process(monkeypatch, grace_seconds=PATIENCE_SECONDS)
    send_job(racing_tenant, endpoint, process)
    endpoint.gate.set()
    process.stop()
    assert Job.objects.get().final_state == "completed"
    assert not Worker.objects.exists()
    process = start_process(monkeypatch, grace_seconds=PATIENCE_SECONDS)
    with as_role("dispatcher"):
        refs = claim_deliveries(1, lease_seconds=30)
    process.deliveries.admit(refs)
    process.stop()
    assert Delivery.objects.get().final_state == "delivered"


def test_a_stopping_process_gives_back_what_outlasts_the_grace(
    racing_tenant: Tenant, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_process(monkeypatch, grace_seconds=0)
    send_job(racing_tenant, endpoint, process)
    process.stop()
    row = LiveJob.objects.get()
    assert (row.state, row.attempt, row.crash_count, row.epoch) == ("available", 0, 0, 2)


def test_a_connection_that_was_cut_costs_no_outcome(
    racing_tenant: Tenant, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_process(monkeypatch, grace_seconds=PATIENCE_SECONDS)
    send_job(racing_tenant, endpoint, process)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    endpoint.gate.set()
    process.stop()
    assert (Job.objects.get().final_state, Job.objects.get().attempt) == ("completed", 1)
