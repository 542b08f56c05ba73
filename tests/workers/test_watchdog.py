"""The watchdog, over real child processes and a clock of our own: flags first, kills later, buries the dead."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.workers.forks import ForkedChild, forked
from tests.workers.test_board import make_refs
from workers import watchdog
from workers.board import Board
from workers.board_layout import Flag, Snapshot
from workers.losses import Loss
from workers.watchdog import Watchdog

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

SECOND = 1_000_000_000


class Keeper:
    """Stands for the lease keeper: notes losses, and says when leases were confirmed."""

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self.confirmed: int | None = None

    def confirmed_ns(self, snapshot: Snapshot) -> int:
        return snapshot.opened_ns if self.confirmed is None else self.confirmed

    def add_loss(self, loss: Loss) -> None:
        self.losses.append(loss)


class Rig:
    """A board with one seat, a watchdog that is ticked by hand, and a child whose first job runs since `zero`."""

    def __init__(self, **options: float) -> None:
        self.board = Board(seats=1, handlers=[])
        self.keeper = Keeper()
        self.is_stop_asked = False
        self.stops: list[None] = []
        self.deaths: list[None] = []
        self.zero = time.monotonic_ns()
        self.refs = make_refs(3)
        self.dog = Watchdog(
            self.board,
            self.keeper,
            lease_seconds=options.get("lease_seconds", 30),
            stop_grace_seconds=options.get("stop_grace_seconds", 5),
            should_stop=lambda: self.is_stop_asked,
            on_stop=lambda: self.stops.append(None),
            on_death=lambda: self.deaths.append(None),
        )

    def sit(
        self, *, timeout_seconds: int = 60, after: Callable[[], None] = lambda: None
    ) -> Callable[[ForkedChild], None]:
        def body(child: ForkedChild) -> None:
            seat = self.board.seat(0)
            seat.take(os.getpid())
            seat.admit([(ref, timeout_seconds) for ref in self.refs], self.zero)
            seat.mark_running(0, self.zero)
            child.tell()
            child.hear()
            after()
            seat.mark_done(0)
            child.tell()
            child.hear()

        return body

    def tick(self, seconds: float) -> None:
        self.dog.tick(self.zero + int(seconds * SECOND))

    def flags(self) -> list[Flag]:
        snapshot = self.board.read(0)
        assert snapshot is not None
        return [job.flags for job in snapshot.jobs]

    def bury(self, child: ForkedChild) -> tuple[list[str], int]:
        """After the child's end: the kinds of the culprits, and how many were given back."""
        child.await_end()
        self.dog.bury_dead()
        (loss,) = self.keeper.losses
        assert self.board.pid(0) == 0
        return [culprit.kind for culprit in loss.culprits], len(loss.released)


def _is_alive(child: ForkedChild) -> bool:
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def test_a_job_past_its_timeout_is_flagged_then_killed_and_its_neighbours_are_given_back() -> None:
    rig = Rig()
    with forked(rig.sit(timeout_seconds=2)) as child:
        child.hear()
        rig.tick(1.9)
        assert rig.flags()[0] is Flag.NONE
        rig.tick(2.0)
        assert rig.flags() == [Flag.DEADLINE, Flag.NONE, Flag.NONE]
        rig.tick(2.9)
        assert _is_alive(child)
        rig.tick(3.1)
        assert rig.bury(child) == (["timed-out"], 2)


def _flag(rig: Rig, place: int, flag: Flag) -> None:
    snapshot = rig.board.read(0)
    assert snapshot is not None
    rig.board.raise_flag(snapshot, place, flag)


@pytest.mark.parametrize(("lease_seconds", "grace_seconds"), [(30, 5), (3, 0.5)])
def test_a_cancelled_run_is_killed_after_a_grace_well_inside_the_lease(
    lease_seconds: float, grace_seconds: float
) -> None:
    rig = Rig(lease_seconds=lease_seconds)
    with forked(rig.sit()) as child:
        child.hear()
        rig.tick(0.1)
        _flag(rig, 0, Flag.CANCEL)
        rig.tick(0.2)
        rig.tick(0.1 + grace_seconds)
        assert _is_alive(child)
        rig.tick(0.3 + grace_seconds)
        assert rig.bury(child) == (["cancelled"], 2)


def test_a_cancelled_job_that_waits_for_its_turn_kills_nobody() -> None:
    rig = Rig()
    with forked(rig.sit()) as child:
        child.hear()
        _flag(rig, 1, Flag.CANCEL)
        rig.tick(1)
        rig.tick(15)
        assert _is_alive(child)


@pytest.mark.parametrize(("flag", "kinds"), [(Flag.LOST, []), (Flag.NONE, ["timed-out"])], ids=["lost", "late"])
def test_a_more_urgent_reason_does_not_wait_for_the_grace_of_a_cancellation(flag: Flag, kinds: list[str]) -> None:
    rig = Rig()
    with forked(rig.sit(timeout_seconds=2)) as child:
        child.hear()
        _flag(rig, 0, Flag.CANCEL)
        rig.tick(1.9)
        _flag(rig, 0, flag)
        rig.tick(2.0)
        rig.tick(3.1)
        assert rig.bury(child) == (kinds, 2)


def test_a_job_that_ends_within_the_grace_saves_its_process() -> None:
    rig = Rig()
    with forked(rig.sit(timeout_seconds=2)) as child:
        child.hear()
        rig.tick(2.0)
        child.tell()
        child.hear()
        rig.tick(60)
        assert _is_alive(child)
        assert rig.keeper.losses == []


def test_a_child_that_exits_by_itself_is_a_crash_of_the_job_it_ran() -> None:
    rig = Rig()
    with forked(rig.sit(after=lambda: os._exit(3))) as child:
        child.hear()
        child.tell()
        assert rig.bury(child) == (["crashed"], 2)
        assert "exit code 3" in rig.keeper.losses[0].culprits[0].message


def test_a_child_killed_from_outside_is_a_crash_even_when_it_is_reaped_before_we_look() -> None:
    rig = Rig()
    with forked(rig.sit()) as child:
        child.hear()
        os.kill(child.pid, signal.SIGKILL)
        child.reap()
        rig.tick(1)
        rig.tick(2)
        assert [culprit.kind for culprit in rig.keeper.losses[0].culprits] == ["crashed"]
        assert len(rig.deaths) == 1
        assert rig.board.pid(0) == 0


def test_a_child_that_died_of_its_own_after_the_flag_is_still_a_crash() -> None:
    rig = Rig()
    with forked(rig.sit(timeout_seconds=2, after=lambda: os._exit(1))) as child:
        child.hear()
        rig.tick(2.0)
        child.tell()
        assert rig.bury(child) == (["crashed"], 2)


def test_a_run_whose_lease_is_lost_is_killed_and_nothing_is_written_of_it() -> None:
    rig = Rig()
    with forked(rig.sit()) as child:
        child.hear()
        snapshot = rig.board.read(0)
        assert snapshot is not None
        rig.board.raise_flag(snapshot, 0, Flag.LOST)
        rig.tick(5.0)
        assert _is_alive(child)
        rig.tick(6.1)
        assert rig.bury(child) == ([], 2)


def test_a_waiting_job_whose_lease_is_lost_kills_nobody() -> None:
    rig = Rig()
    with forked(rig.sit()) as child:
        child.hear()
        snapshot = rig.board.read(0)
        assert snapshot is not None
        rig.board.raise_flag(snapshot, 2, Flag.LOST)
        rig.tick(5.0)
        rig.tick(10.0)
        assert _is_alive(child)


def test_a_worker_that_cannot_renew_ends_its_runs_at_two_thirds_of_the_lease() -> None:
    rig = Rig(lease_seconds=30)
    with forked(rig.sit()) as child:
        child.hear()
        rig.tick(18.9)
        assert rig.flags() == [Flag.NONE] * 3
        rig.tick(19.1)
        assert rig.flags() == [Flag.STOP] * 3
        rig.tick(19.9)
        assert _is_alive(child)
        rig.tick(20.0)
        assert rig.bury(child) == ([], 3)


def test_a_renewed_lease_lets_a_run_go_on() -> None:
    rig = Rig(lease_seconds=30)
    with forked(rig.sit()) as child:
        child.hear()
        rig.keeper.confirmed = rig.zero + 15 * SECOND
        rig.tick(30)
        assert rig.flags() == [Flag.NONE] * 3
        assert _is_alive(child)


def test_a_stop_lets_groups_finish_then_flags_then_kills_and_gives_all_back() -> None:
    rig = Rig(stop_grace_seconds=5)
    with forked(rig.sit()) as child:
        child.hear()
        rig.is_stop_asked = True
        rig.tick(1)
        rig.tick(4.9)
        assert (len(rig.stops), rig.board.is_stopping, rig.flags()) == (1, False, [Flag.NONE] * 3)
        rig.tick(5.0)
        assert (rig.board.is_stopping, rig.flags()) == (True, [Flag.STOP] * 3)
        assert _is_alive(child)
        rig.tick(6.0)
        assert rig.bury(child) == ([], 3)


def test_an_idle_process_is_left_alone_by_a_stop() -> None:
    rig = Rig(stop_grace_seconds=0)

    def body(child: ForkedChild) -> None:
        rig.board.seat(0).take(os.getpid())
        child.tell()
        child.hear()

    with forked(body) as child:
        child.hear()
        rig.is_stop_asked = True
        for second in range(5):
            rig.tick(second)
        assert _is_alive(child)


def test_the_thread_does_all_that_by_itself() -> None:
    rig = Rig()
    with forked(rig.sit(timeout_seconds=0)) as child:
        child.hear()
        rig.dog.start()
        child.await_end()
        rig.dog.stop(60)
        assert [culprit.kind for culprit in rig.keeper.losses[0].culprits] == ["timed-out"]


@pytest.mark.parametrize(
    ("is_stopping", "is_reaped", "reason"),
    [
        (True, True, "stopped with its worker"),
        (True, False, "exit code 0"),
        (False, True, "for an unknown reason"),
        (False, False, "exit code 0"),
    ],
)
def test_a_child_that_ends_without_work_says_what_ended_it(
    monkeypatch: pytest.MonkeyPatch, is_stopping: bool, is_reaped: bool, reason: str
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(watchdog, "log_event", lambda event, **fields: told.append((event, fields["reason"])))
    rig = Rig()
    rig.is_stop_asked = is_stopping
    with forked(lambda child: rig.board.seat(0).take(os.getpid())) as child:
        child.await_end()
        if is_reaped:
            child.reap()  # as Celery's pool does when it stops its processes
        rig.dog.bury_dead()
    assert told == [("child_ended", reason)]
