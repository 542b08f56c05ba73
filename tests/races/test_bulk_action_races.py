"""Bulk actions with several runners, dying ones and an abort in the middle: each job is acted on once, or never."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now

from jobservice.jobs import bulk_actions, bulk_turns
from jobservice.jobs.bulk_action_request import BulkActionRequest
from jobservice.jobs.bulk_actions import MAX_RUNNING, RUNNING, abort_bulk_action, make_bulk_action
from jobservice.jobs.bulk_runner import BulkRunner
from jobservice.jobs.bulk_turns import lease_next_action, serve_turn
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.job_search import JobFilters
from jobservice.jobs.models import BulkAction, Job, LiveJob
from jobservice.webhooks.models import Event
from tenants.context import tenant_tx
from tests.api.bulk_actions import dying_at
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.races.acting import asking, holding
from tests.roles import as_role, set_role
from tests.security.web_server import running_web

Race = Callable[..., list[Any]]
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every action goes to the background, and a turn is three jobs long."""
    monkeypatch.setattr(bulk_actions, "SMALL_JOBS", 0)
    monkeypatch.setattr(bulk_turns, "BATCH_JOBS", 3)
    monkeypatch.setattr(bulk_turns, "TURN_SECONDS", 0.0)


def make_ended(tenant: Tenant, number: int) -> None:
    for _ in range(number):
        make_job(tenant)
    for started in start(claim()):
        record(outcome_of(started))


def make_action(tenant: Tenant, action: str, **filters: Any) -> BulkAction:
    with as_role("web"):
        made = make_bulk_action(tenant.id, BulkActionRequest(action, JobFilters(**filters), 1000), queues=None)
    assert isinstance(made, UUID)
    return BulkAction.objects.get(id=made)


def serve_until_over(tenant: Tenant) -> int:
    """As a runner, until the tenant has no running action; how many turns."""
    turns = 0
    while _has_running(tenant):
        lease = lease_next_action()
        if lease is not None:
            serve_turn(lease, max_seconds=0.0)
            turns += 1
    return turns


def _has_running(tenant: Tenant) -> bool:
    with tenant_tx(tenant.id):
        return BulkAction.objects.filter(tenant_id=tenant.id, status=RUNNING).exists()


def end_leases() -> None:
    """As if every holder had been silent for longer than its lease."""
    BulkAction.objects.filter(holder__isnull=False).update(leased_until=Now() - timedelta(seconds=1))


def acts_by_job(type_: str) -> Counter[Any]:
    return Counter(Event.objects.filter(type=type_).values_list("job_id", flat=True))


def test_three_runners_at_once_act_once_on_each_job(racing_tenant: Tenant, race: Race) -> None:
    make_ended(racing_tenant, 40)
    action = make_action(racing_tenant, "retry", state="completed")
    turns = race("web", *[lambda: serve_until_over(racing_tenant)] * 3)
    action.refresh_from_db()
    assert (action.status, action.matched, action.done, action.skipped) == ("completed", 40, 40, 0)
    acts = acts_by_job("job.retried")
    assert (len(acts), set(acts.values())) == (40, {1})
    assert sum(turns) >= 14


def test_runners_whose_leases_end_under_them_act_once_on_each_job(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst of it: nobody is dead, and everybody believes to be the holder."""
    # They take the lease from one another before a step forward, again and again.
    monkeypatch.setattr(bulk_turns, "MAX_STALLS", 30_000)
    make_ended(racing_tenant, 30)
    action = make_action(racing_tenant, "retry", state="completed")

    def end_leases_all_the_time() -> None:
        while _has_running(racing_tenant):
            end_leases()

    race("owner", end_leases_all_the_time, *[lambda: serve_until_over(racing_tenant)] * 3)
    action.refresh_from_db()
    assert (action.status, action.done, action.skipped) == ("completed", 30, 0)
    acts = acts_by_job("job.retried")
    assert (len(acts), set(acts.values())) == (30, {1})


@pytest.mark.parametrize("dies", ["before the step is noted", "after the commit"])
def test_another_goes_on_where_a_runner_died(racing_tenant: Tenant, monkeypatch: pytest.MonkeyPatch, dies: str) -> None:
    make_ended(racing_tenant, 10)
    action = make_action(racing_tenant, "retry", state="completed")
    with as_role("web"):
        lease = lease_next_action()
    assert lease is not None
    where = "_act" if dies == "after the commit" else "lease_end"
    with monkeypatch.context() as patch, as_role("web"):
        patch.setattr(bulk_turns, where, dying_at(5, getattr(bulk_turns, where)))
        with pytest.raises(KeyboardInterrupt):
            serve_turn(lease, max_seconds=60.0)
    action.refresh_from_db()
    assert (action.done, action.holder, len(acts_by_job("job.retried"))) == (4, lease.holder, 4)
    # What was retried runs and ends again: to be acted on twice, nothing but the note is in the way.
    for started in start(claim()):
        record(outcome_of(started))
    with as_role("web"):
        assert lease_next_action() is None
    end_leases()
    with as_role("web"):
        serve_until_over(racing_tenant)
    action.refresh_from_db()
    assert (action.status, action.done, action.skipped) == ("completed", 10, 0)
    acts = acts_by_job("job.retried")
    assert (len(acts), set(acts.values())) == (10, {1})


def test_after_an_abort_no_further_job_is_acted_on(
    racing_tenant: Tenant, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(30):
        make_job(racing_tenant)
    action = make_action(racing_tenant, "cancel", state="available")
    is_under_way, is_aborted = threading.Event(), threading.Event()
    act, steps = bulk_turns._act, itertools.count(1)

    def act_and_tell(*arguments: Any) -> bool:
        """The abort comes while steps are made, and before the last of them whatever the machine does meanwhile."""
        step = next(steps)
        if step == 5:
            is_under_way.set()
        if step > 20:
            assert is_aborted.wait(30)
        return act(*arguments)

    monkeypatch.setattr(bulk_turns, "_act", act_and_tell)

    def abort() -> tuple[str, int, int]:
        assert is_under_way.wait(30)
        try:
            shown = abort_bulk_action(racing_tenant.id, action.id)
        finally:
            is_aborted.set()
        with tenant_tx(racing_tenant.id):
            ended = Job.objects.filter(tenant_id=racing_tenant.id, final_state="cancelled").count()
        return shown["status"], shown["done"], ended

    (status, done, ended), *_ = race("web", abort, *[lambda: serve_until_over(racing_tenant)] * 2)
    assert (status, done) == ("aborted", ended)
    assert Job.objects.filter(final_state="cancelled").count() == ended < 30
    assert LiveJob.objects.count() == 30 - ended


def test_single_calls_beside_an_action_leave_one_end_each(racing_tenant: Tenant, race: Race) -> None:
    ids = [job_uuid(make_job(racing_tenant)) for _ in range(20)]
    action = make_action(racing_tenant, "cancel", type="echo")

    def cancel_each() -> int:
        return sum(asking(cancel_job, racing_tenant.id, job_id)() is None for job_id in reversed(ids))

    cancelled, _ = race("web", cancel_each, lambda: serve_until_over(racing_tenant))
    action.refresh_from_db()
    assert (action.status, action.done + cancelled, action.done + action.skipped) == ("completed", 20, 20)
    assert set(acts_by_job("job.cancelled").values()) == {1}


def test_of_many_made_at_once_ten_run(racing_tenant: Tenant, race: Race) -> None:
    make_job(racing_tenant)
    request = BulkActionRequest("cancel", JobFilters(type="echo"), 10)

    def make() -> None:
        make_bulk_action(racing_tenant.id, request, queues=None)

    refusals = race("web", *[asking(make)] * 15)
    assert len([refusal for refusal in refusals if refusal is None]) == MAX_RUNNING
    assert BulkAction.objects.count() == MAX_RUNNING


def test_actions_of_two_tenants_are_served_by_turns(racing_tenant: Tenant) -> None:
    tenants = [racing_tenant, make_tenant()]
    for tenant in tenants:
        for _ in range(9):
            make_job(tenant)
    actions = [make_action(tenant, "cancel", type="echo") for tenant in tenants]
    with as_role("web"):
        served = []
        for _ in range(6):
            lease = lease_next_action()
            assert lease is not None
            served.append(lease.action_id)
            serve_turn(lease, max_seconds=0.0)
    assert served == [action.id for action in actions] * 3


@contextmanager
def running_runner() -> Iterator[BulkRunner]:
    def serve_as_web(is_stopping: Callable[[], bool]) -> bool:
        set_role("web")
        return bulk_turns.serve_next_action(is_stopping)

    with as_role("web"):
        runner = BulkRunner(serve_as_web)
        runner.start()
        try:
            yield runner
        finally:
            runner.stop()
            assert runner.join(PATIENCE_SECONDS)


def test_a_runner_outlives_a_turn_that_fails(
    racing_tenant: Tenant, monkeypatch: pytest.MonkeyPatch, committed: None
) -> None:
    make_job(racing_tenant)
    failures = iter([RuntimeError, None])
    told: list[str] = []

    def serve(lease: Any, **options: Any) -> None:
        if failure := next(failures, None):
            set_role("owner")
            end_leases()
            raise failure
        serve_turn(lease, **options)

    monkeypatch.setattr(bulk_turns, "serve_turn", serve)
    monkeypatch.setattr("jobservice.jobs.bulk_runner.log_event", lambda event, **_: told.append(event))
    make_action(racing_tenant, "cancel", type="echo")
    with running_runner():
        _wait_until(lambda: not _has_running(racing_tenant))
    assert told == ["bulk_action_interrupted"]
    assert Job.objects.filter(final_state="cancelled").count() == 1


def test_a_web_process_goes_on_with_what_a_killed_one_left(racing_tenant: Tenant, tmp_path: Path, race: Race) -> None:
    ids = sorted(job_uuid(make_job(racing_tenant)) for _ in range(300))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with running_web(tmp_path / "one") as first, holding(ids[100]) as is_waited_for:
        action = make_action(racing_tenant, "cancel", type="echo")
        _wait_until(is_waited_for)
        # The master would replace a killed worker: both are gone at once, in the middle of a job.
        for pid in (first.master.pid, first.worker_pid):
            os.kill(pid, signal.SIGKILL)
        first.master.wait(timeout=30)
    action.refresh_from_db()
    assert action.done == 100
    assert action.holder is not None
    end_leases()
    with running_web(tmp_path / "two"):
        _wait_until(lambda: BulkAction.objects.get(id=action.id).status == "completed")
    action.refresh_from_db()
    assert (action.done, action.skipped) == (300, 0)
    assert set(acts_by_job("job.cancelled").values()) == {1}


def test_a_web_process_that_is_asked_to_stop_gives_its_lease_back(racing_tenant: Tenant, tmp_path: Path) -> None:
    for _ in range(300):
        make_job(racing_tenant)
    with running_web(tmp_path) as web:
        action = make_action(racing_tenant, "cancel", type="echo")
        _wait_until(lambda: BulkAction.objects.get(id=action.id).done >= 5)
        web.stop()
        assert web.master.wait(timeout=30) == 0
    action.refresh_from_db()
    assert (action.status, action.holder) == ("running", None)
    assert Job.objects.filter(final_state="cancelled").count() == action.done < 300
    assert "bulk_runner_left" not in web.log


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
