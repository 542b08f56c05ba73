"""The parent's lease keeper against a real database."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from jobservice.jobs.leases import release_jobs, start_jobs
from jobservice.jobs.models import Attempt, Job, LiveJob
from tests.factories import Tenant
from tests.races.conftest import committed, racing_tenant  # noqa: F401 (fixtures)
from tests.workers.commits import claim_in_order, every_connection_as_worker
from workers import lease_keeper as keeper_module
from workers.board import Board
from workers.board_layout import Flag, Snapshot
from workers.lease_keeper import LeaseKeeper
from workers.losses import Culprit, Loss, decide_loss

WORKER = new_id()
LEASE_SECONDS = 30.0


class Rig:
    """Started jobs on a one-seat board, and a keeper whose turns we take ourselves."""

    def __init__(self, tenant: Tenant, jobs: int) -> None:
        self.board = Board(seats=1, handlers=[])
        self.board.worker_id = WORKER
        self.seat = self.board.seat(0)
        self.keeper = LeaseKeeper(self.board, lease_seconds=LEASE_SECONDS)
        self.refs = claim_in_order(tenant, *[{}] * jobs)
        with every_connection_as_worker():
            start_jobs(self.refs, worker_id=WORKER, group_id=new_id(), lease_seconds=LEASE_SECONDS)
        self.seat.take(os.getpid())
        self.seat.admit([(ref, 60) for ref in self.refs], time.monotonic_ns())

    def look(self) -> None:
        with every_connection_as_worker():
            self.keeper._look_after_leases()

    def settle(self) -> None:
        with every_connection_as_worker():
            self.keeper._settle_losses()

    def snapshot(self) -> Snapshot:
        found = self.board.read(0)
        assert found is not None
        return found

    def flags(self) -> list[Flag]:
        return [job.flags for job in self.snapshot().jobs]


@pytest.fixture
def rig(
    racing_tenant: Tenant,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Rig:
    monkeypatch.setattr(keeper_module, "wake_dispatcher", lambda: None)
    return Rig(racing_tenant, 3)


def _lose(ref: Ref) -> None:
    """As the reaper does when a lease ended."""
    LiveJob.objects.filter(job_id=ref.id).update(
        state="available", epoch=ref.epoch + 1, worker_id=None, group_id=None, lease_until=None, started_at=None
    )


def _seconds_left() -> list[float]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM job_live WHERE state = 'executing'"
        )
        return [float(seconds) for (seconds,) in cursor.fetchall()]


def test_the_leases_of_a_group_are_renewed(rig: Rig) -> None:
    LiveJob.objects.update(lease_until=Now())
    opened_ns = rig.snapshot().opened_ns
    rig.look()
    assert min(_seconds_left()) > LEASE_SECONDS - 5
    assert rig.keeper.confirmed_ns(rig.snapshot()) > opened_ns
    assert rig.flags() == [Flag.NONE] * 3


def test_between_renewals_it_only_looks(rig: Rig) -> None:
    rig.look()
    LiveJob.objects.update(lease_until=Now())
    confirmed_ns = rig.keeper.confirmed_ns(rig.snapshot())
    rig.look()
    assert max(_seconds_left()) <= 0
    assert rig.keeper.confirmed_ns(rig.snapshot()) == confirmed_ns


@pytest.mark.parametrize("looks_before", [0, 1], ids=["by a renewal", "by a look"])
def test_a_cancelled_job_is_flagged_and_no_other(rig: Rig, looks_before: int) -> None:
    for _ in range(looks_before):
        rig.look()
    LiveJob.objects.filter(job_id=rig.refs[1].id).update(cancel_requested=True)
    rig.look()
    assert rig.flags() == [Flag.NONE, Flag.CANCEL, Flag.NONE]


@pytest.mark.parametrize("looks_before", [0, 1], ids=["by a renewal", "by a look"])
def test_a_job_whose_lease_is_lost_is_flagged_and_no_other(rig: Rig, looks_before: int) -> None:
    for _ in range(looks_before):
        rig.look()
    rig.seat.mark_running(0, time.monotonic_ns())
    _lose(rig.refs[0])
    rig.look()
    assert rig.flags() == [Flag.LOST, Flag.NONE, Flag.NONE]


def test_a_job_that_was_written_meanwhile_is_not_lost(rig: Rig) -> None:
    rig.seat.mark_running(0, time.monotonic_ns())
    rig.seat.mark_done(0)
    _lose(rig.refs[0])
    rig.look()
    assert rig.flags() == [Flag.NONE] * 3


def test_a_renewal_that_fails_confirms_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OperationalError("away")

    opened_ns = rig.snapshot().opened_ns
    monkeypatch.setattr(keeper_module, "renew_leases", fail)
    with pytest.raises(OperationalError):
        rig.look()
    assert rig.keeper.confirmed_ns(rig.snapshot()) == opened_ns


def _loss(rig: Rig) -> Loss:
    rig.seat.mark_running(0, time.monotonic_ns())
    rig.seat.mark_settled(0, sequence=rig.seat.sequence)
    rig.seat.mark_running(1, time.monotonic_ns())
    now_ns = time.monotonic_ns()
    return decide_loss(rig.snapshot(), cause="died", ending="killed by SIGKILL", now_ns=now_ns)


def test_a_crash_is_recorded_and_the_others_are_given_back(rig: Rig) -> None:
    rig.keeper.add_loss(_loss(rig))
    rig.settle()
    crashed, released = (LiveJob.objects.get(job_id=ref.id) for ref in rig.refs[1:])
    assert (crashed.state, crashed.crash_count, crashed.attempt, crashed.error_code) == ("available", 1, 1, "crashed")
    assert (released.state, released.crash_count, released.attempt, released.epoch) == ("available", 0, 0, 2)
    attempts = {attempt.job_id: attempt for attempt in Attempt.objects.all()}
    attempt = attempts[rig.refs[1].id]
    assert (attempt.outcome, attempt.worker_id, attempt.error_id is not None) == ("crashed", WORKER, True)
    given_back = attempts[rig.refs[2].id]
    assert (given_back.outcome, given_back.epoch, given_back.error_code) == ("released", 1, None)
    assert len(attempts) == 2


def test_a_timeout_is_recorded_as_one(rig: Rig) -> None:
    culprit = Culprit(rig.refs[0], "timed-out", 0.5, 2.0, "The job did not end within its 2 seconds.")
    rig.keeper.add_loss(Loss((culprit,), (), time.monotonic_ns()))
    rig.settle()
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_code) == ("timed-out", "timed-out")
    assert (attempt.finished_at - attempt.started_at).total_seconds() == 2.0


def test_nothing_is_written_of_a_job_that_somebody_else_owns(rig: Rig) -> None:
    for ref in rig.refs:
        _lose(ref)
    rig.keeper.add_loss(_loss(rig))
    rig.settle()
    assert not Attempt.objects.exists()
    assert {row.epoch for row in LiveJob.objects.all()} == {2}
    assert {row.crash_count for row in LiveJob.objects.all()} == {0}


def test_a_loss_is_kept_while_the_database_is_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[Exception] = [OperationalError("away")]

    def fail_once(*args: Any, **options: Any) -> Any:
        if faults:
            raise faults.pop()
        return release_jobs(*args, **options)

    monkeypatch.setattr(keeper_module, "release_jobs", fail_once)
    rig.keeper.add_loss(_loss(rig))
    with pytest.raises(OperationalError):
        rig.settle()
    rig.settle()
    assert LiveJob.objects.get(job_id=rig.refs[2].id).state == "available"
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["crashed", "released"]


def test_a_loss_older_than_the_lease_is_left_to_the_reaper(rig: Rig) -> None:
    culprit = Culprit(rig.refs[0], "crashed", 0, 0, "")
    rig.keeper.add_loss(Loss((culprit,), (), time.monotonic_ns() - int((LEASE_SECONDS + 1) * 1e9)))
    rig.settle()
    assert not Attempt.objects.exists()


def test_the_thread_settles_at_once_and_before_it_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    settled = threading.Event()
    monkeypatch.setattr(keeper_module, "wake_dispatcher", settled.set)
    with every_connection_as_worker():
        rig.keeper.start()
        rig.keeper.add_loss(_loss(rig))
        assert settled.wait(60)
        rig.keeper.stop(60)
    assert Job.objects.filter(id=rig.refs[0].id).exists()
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["crashed", "released"]
