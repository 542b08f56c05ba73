"""GET /v1/jobs/{id} with `Prefer: wait`: who waits is told at the end, and holds nothing meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

import api.jobs
from jobservice.database import connect_alone
from jobservice.ids import JOB, new_id, show_id
from jobservice.jobs import end_watch, notifier, selectors
from jobservice.jobs.end_watch import EndWatch, Watched
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.roles import as_role, set_role

SOON = 20.0  # seconds, generous; a waiter that nobody wakes would take the 60 it asks for
Ask = Callable[..., "Future[Any]"]


@pytest.fixture
def watch(racing_tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[EndWatch]:
    """A watch with room for three, woken by NOTIFY alone."""
    watch = EndWatch(places=3, stopping=threading.Event())
    monkeypatch.setattr(end_watch, "_watch", watch)
    monkeypatch.setattr(end_watch, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(notifier, "_wake", notify)
    yield watch
    watch._stopping.set()
    notify(notifier.ENDS_CHANNEL)
    if watch._thread is not None:
        watch._thread.join(timeout=30)


@pytest.fixture
def ask(watch: EndWatch) -> Iterator[Ask]:
    """`ask(tenant, job)` begins a GET on a thread of its own, as a client of the web process."""
    with ThreadPoolExecutor(6) as threads:

        def get(tenant: Tenant, job_id: str, prefer: str) -> Any:
            try:
                set_role("web")
                headers = {"Authorization": f"Bearer {tenant.api_key}", "Prefer": prefer}
                return Client().get(f"/v1/jobs/{job_id}", headers=headers)
            finally:
                connections.close_all()

        def begin(tenant: Tenant, job: dict[str, Any], prefer: str = "wait=60") -> Future[Any]:
            return threads.submit(get, tenant, job["id"], prefer)

        yield begin


def notify(channel: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {channel}")


def end(*jobs: dict[str, Any]) -> None:
    wanted = {job_uuid(job) for job in jobs}
    record(*[outcome_of(started) for started in start(claim()) if started.job_id in wanted])


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_waits_is_told_at_the_end(racing_tenant: Tenant, ask: Ask, watch: EndWatch) -> None:
    job = make_job(racing_tenant, payload={"n": 1})
    asked = ask(racing_tenant, job)
    wait_until(lambda: watch._watched)
    time.sleep(0.2)
    assert not asked.done()
    end(job)
    answer = asked.result(timeout=SOON)
    assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert not watch._watched


def test_waiters_of_many_tenants_are_told_each_of_their_own(racing_tenant: Tenant, ask: Ask, watch: EndWatch) -> None:
    tenants = [racing_tenant, make_tenant(), make_tenant()]
    jobs = [make_job(tenant) for tenant in tenants]
    asked = [ask(tenant, job) for tenant, job in zip(tenants, jobs, strict=True)]
    wait_until(lambda: len(watch._watched) == 3)
    end(*jobs[:2])
    assert [one.result(timeout=SOON).json()["id"] for one in asked[:2]] == [job["id"] for job in jobs[:2]]
    time.sleep(0.2)
    assert not asked[2].done()
    watch._stopping.set()
    notify(notifier.ENDS_CHANNEL)


def test_an_end_between_the_look_and_the_wait_is_not_missed(
    racing_tenant: Tenant, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = selectors.is_over
    looked, ended = threading.Event(), threading.Event()

    def look_and_linger(*wanted: Any) -> Any:
        over = look(*wanted)
        looked.set()
        ended.wait(timeout=SOON)
        return over

    monkeypatch.setattr(api.jobs, "is_over", look_and_linger)
    job = make_job(racing_tenant)
    asked = ask(racing_tenant, job)
    assert looked.wait(timeout=SOON)
    end(job)
    ended.set()
    assert asked.result(timeout=SOON).json()["state"] == "completed"


def test_an_end_before_the_thread_listens_is_not_missed(
    racing_tenant: Tenant, ask: Ask, watch: EndWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, connect = threading.Event(), connect_alone

    def connect_late() -> Any:
        assert ended.wait(timeout=SOON)
        return connect()

    monkeypatch.setattr(end_watch, "connect_alone", connect_late)
    job = make_job(racing_tenant)
    asked = ask(racing_tenant, job)
    wait_until(lambda: watch._watched)
    time.sleep(0.2)
    end(job)
    ended.set()
    assert asked.result(timeout=SOON).json()["state"] == "completed"


def test_a_lost_notification_costs_a_moment(
    racing_tenant: Tenant, ask: Ask, watch: EndWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "_wake", lambda _channel: None)
    monkeypatch.setattr(end_watch, "POLL_SECONDS", 0.1)
    job = make_job(racing_tenant)
    asked = ask(racing_tenant, job)
    wait_until(lambda: watch._watched)
    end(job)
    assert asked.result(timeout=SOON).json()["state"] == "completed"


def test_who_waits_holds_no_connection(racing_tenant: Tenant, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    wait = Watched.wait

    def look_and_wait(watched: Watched, seconds: float) -> bool:
        held.append(connection.connection)
        return wait(watched, seconds)

    monkeypatch.setattr(Watched, "wait", look_and_wait)
    job = make_job(racing_tenant)
    asked = ask(racing_tenant, job, "wait=1")
    assert asked.result(timeout=SOON).status_code == 200
    assert held == [None]


def test_when_the_time_is_up_the_job_is_shown_as_it_is(racing_tenant: Tenant, ask: Ask) -> None:
    job = make_job(racing_tenant)
    began = time.monotonic()
    answer = ask(racing_tenant, job, "wait=1").result(timeout=SOON)
    assert time.monotonic() - began >= 1
    assert ({**answer.json(), "waiting": None}, answer.headers["Preference-Applied"]) == (job, "wait=1")


def test_without_a_place_the_answer_comes_at_once(racing_tenant: Tenant, ask: Ask, watch: EndWatch) -> None:
    job = make_job(racing_tenant)
    waiting = [ask(racing_tenant, job) for _ in range(3)]
    wait_until(lambda: len(watch._watched) == 3)
    answer = ask(racing_tenant, job).result(timeout=SOON)
    assert (answer.status_code, {**answer.json(), "waiting": None}) == (200, job)
    assert "Preference-Applied" not in answer.headers
    end(job)
    assert {one.result(timeout=SOON).json()["state"] for one in waiting} == {"completed"}
    another = make_job(racing_tenant)
    assert ask(racing_tenant, another, "wait=1").result(timeout=SOON).headers["Preference-Applied"] == "wait=1"


def test_a_process_that_stops_sends_all_home(racing_tenant: Tenant, ask: Ask, watch: EndWatch) -> None:
    job = make_job(racing_tenant)
    asked = ask(racing_tenant, job)
    wait_until(lambda: watch._watched)
    watch._stopping.set()
    notify(notifier.ENDS_CHANNEL)  # stands for the poll, which this test has turned off
    assert {**asked.result(timeout=SOON).json(), "waiting": None} == job
    assert "Preference-Applied" not in ask(racing_tenant, job).result(timeout=SOON).headers


def test_an_unknown_and_a_foreign_job_are_not_waited_for(racing_tenant: Tenant, ask: Ask) -> None:
    foreign = make_job(make_tenant())
    unknown = {"id": show_id(JOB, new_id())}
    for job in (foreign, unknown):
        answer = ask(racing_tenant, job).result(timeout=SOON)
        assert answer.status_code == 404
        assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=30", "wait=30"),
        ("WAIT = 5", "wait=5"),
        ('wait="7"', "wait=7"),
        ("wait=99999999999999999999", "wait=60"),
        ('respond-async; x="a,wait=9", wait=4; y=1', "wait=4"),
        ("wait=3, wait=9", "wait=3"),
        ("wait=x, wait=9", None),
        ("wait", None),
        ("wait=0", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ("waiting=3", None),
        ('"wait=3', None),
        ("wait=3," + " " * 1000, None),
    ],
)
def test_the_preference_is_read_as_the_rfc_says(
    racing_tenant: Tenant, ask: Ask, prefer: str, applied: str | None
) -> None:
    job = make_job(racing_tenant)
    end(job)
    answer = ask(racing_tenant, job, prefer).result(timeout=SOON)
    assert answer.json()["state"] == "completed"
    assert answer.headers.get("Preference-Applied") == applied


def test_submitting_waits_for_nothing(racing_tenant: Tenant, watch: EndWatch) -> None:
    headers = {"Authorization": f"Bearer {racing_tenant.api_key}", "Prefer": "wait=60"}
    with as_role("web"):
        answer = Client().post("/v1/jobs", {"type": "echo"}, content_type="application/json", headers=headers)
    assert answer.status_code == 201
    assert "Preference-Applied" not in answer.headers


def test_each_job_is_looked_up_under_its_own_tenants_policy(racing_tenant: Tenant) -> None:
    other = make_tenant()
    own, foreign, ended = make_job(racing_tenant), make_job(other), make_job(racing_tenant)
    pairs = [(racing_tenant, own), (other, foreign), (racing_tenant, foreign), (other, own), (racing_tenant, ended)]
    end(ended)
    ids = [[tenant.id for tenant, _ in pairs], [job_uuid(job) for _, job in pairs]]
    with as_role("web"), connection.cursor() as cursor:
        cursor.execute("SELECT unfinished_jobs(%s::uuid[], %s::uuid[])", ids)
        assert cursor.fetchall() == [(job_uuid(own),), (job_uuid(foreign),)]
        cursor.execute("SELECT count(*) FROM job_live")
        assert cursor.fetchone() == (0,)
