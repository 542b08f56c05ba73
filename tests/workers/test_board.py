"""The board, between real processes."""

from __future__ import annotations

import os
import signal
from uuid import UUID

import pytest

from jobservice.crypto.message_mac import MAX_REFS, Ref
from jobservice.ids import new_id
from tests.workers.forks import ForkedChild, forked
from workers.board import Board, Seat
from workers.board_layout import Flag, JobState, Phase

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def make_refs(count: int, *, epoch: int = 1) -> list[Ref]:
    return [Ref(new_id(), new_id(), epoch) for _ in range(count)]


def make_board(seats: int = 1) -> Board:
    return Board(seats=seats, handlers=["echo", "sleep"])


def test_a_parent_sees_what_its_child_runs() -> None:
    board, refs = make_board(2), make_refs(3)

    def body(child: ForkedChild) -> None:
        seat = board.seat(1)
        seat.take(os.getpid())
        seat.open_group(refs, 5)
        seat.admit([(ref, 60 + place) for place, ref in enumerate(refs)], 7)
        seat.mark_running(0, 8)
        seat.mark_done(0)
        seat.mark_settled(0, sequence=seat.sequence)
        seat.mark_running(1, 9)
        child.tell()
        child.hear()

    with forked(body) as child:
        child.hear()
        snapshot = board.read(1)
        assert snapshot is not None
        assert (snapshot.pid, snapshot.phase, snapshot.opened_ns) == (child.pid, Phase.RUNNING, 7)
        assert [job.ref for job in snapshot.jobs] == refs
        assert [job.timeout_seconds for job in snapshot.jobs] == [60, 61, 62]
        assert [job.state for job in snapshot.jobs] == [JobState.SETTLED, JobState.RUNNING, JobState.WAITING]
        assert snapshot.jobs[1].started_ns == 9
        assert board.pid(0) == 0


def test_a_child_sees_the_flags_its_parent_raises() -> None:
    board, refs = make_board(), make_refs(2)

    def body(child: ForkedChild) -> None:
        seat = board.seat(0)
        seat.admit([(ref, 1) for ref in refs], 1)
        child.tell()
        child.hear()
        child.tell(bytes([seat.flags(0)]))
        child.tell(bytes([seat.flags(1)]))
        child.hear()

    with forked(body) as child:
        child.hear()
        snapshot = board.read(0)
        assert snapshot is not None
        board.raise_flag(snapshot, 1, Flag.CANCEL)
        board.raise_flag(snapshot, 1, Flag.DEADLINE)
        child.tell()
        assert (child.hear()[0], child.hear()[0]) == (Flag.NONE, Flag.CANCEL | Flag.DEADLINE)


def test_a_reader_never_takes_half_a_group_for_a_whole_one() -> None:
    board = make_board()
    groups = [make_refs(size, epoch=size) for size in range(1, 30)]

    def body(child: ForkedChild) -> None:
        seat = board.seat(0)
        child.tell()
        while True:
            for group in groups:
                seat.admit([(ref, len(group)) for ref in group], len(group))

    seen: set[int] = set()
    with forked(body) as child:
        child.hear()
        while len(seen) < 10:
            snapshot = board.read(0)
            if snapshot is None or not snapshot.jobs:
                continue
            size = len(snapshot.jobs)
            seen.add(size)
            assert [job.ref for job in snapshot.jobs] == groups[size - 1]
            assert (snapshot.opened_ns, {job.timeout_seconds for job in snapshot.jobs}) == (size, {size})


def _group(seat: Seat) -> None:
    seat.admit([(ref, 60) for ref in make_refs(1)], 1)


def test_a_flag_that_comes_late_does_not_hit_the_next_group() -> None:
    board = make_board()
    seat = board.seat(0)
    _group(seat)
    old = board.read(0)
    assert old is not None
    seat.close_group()
    _group(seat)
    board.raise_flag(old, 0, Flag.CANCEL)
    assert seat.flags(0) is Flag.NONE


def test_a_settlement_that_comes_late_does_not_hit_the_next_group() -> None:
    board = make_board()
    seat = board.seat(0)
    _group(seat)
    old = seat.sequence
    _group(seat)
    seat.mark_settled(0, sequence=old)
    snapshot = board.read(0)
    assert snapshot is not None
    assert snapshot.jobs[0].state is JobState.WAITING


def test_flags_and_states_of_one_group_are_gone_in_the_next() -> None:
    board = make_board()
    seat = board.seat(0)
    _group(seat)
    seat.mark_running(0, 5)
    first = board.read(0)
    assert first is not None
    board.raise_flag(first, 0, Flag.STOP)
    _group(seat)
    second = board.read(0)
    assert second is not None
    assert (second.jobs[0].state, second.jobs[0].started_ns, second.jobs[0].flags) == (JobState.WAITING, 0, Flag.NONE)


def test_a_child_killed_while_writing_leaves_no_group_and_a_seat_its_successor_can_take() -> None:
    board = make_board()

    def body(child: ForkedChild) -> None:
        seat = board.seat(0)
        seat.take(os.getpid())
        seat._region.sequence += 1  # as in the middle of a publication
        os.kill(os.getpid(), signal.SIGKILL)

    with forked(body) as child:
        child.await_end()
        assert board.read(0) is None
        board.clear(0)
        assert board.pid(0) == 0
        refs = make_refs(1)
        board.seat(0).admit([(refs[0], 1)], 1)
        snapshot = board.read(0)
        assert snapshot is not None
        assert snapshot.jobs[0].ref == refs[0]


def test_a_group_whose_bytes_are_not_those_that_were_published_is_not_read() -> None:
    board = make_board()
    _group(board.seat(0))
    board._regions[0].refs[5] ^= 1  # as on a machine that shows another processor's writes out of order
    assert board.read(0) is None


def test_the_largest_message_fits() -> None:
    board, refs = make_board(), make_refs(MAX_REFS, epoch=2**63 - 1)
    board.seat(0).admit([(ref, 86400) for ref in refs], 1)
    snapshot = board.read(0)
    assert snapshot is not None
    assert [job.ref for job in snapshot.jobs] == refs


def test_the_worker_id_and_the_stop_reach_every_seat() -> None:
    board, worker_id = make_board(), new_id()
    assert board.worker_id is None

    def body(child: ForkedChild) -> None:
        child.hear()
        is_known = board.seat(0).board.worker_id == UUID(bytes=worker_id.bytes)
        child.tell(b"y" if is_known and board.is_stopping else b"n")
        child.hear()

    with forked(body) as child:
        board.worker_id = worker_id
        board.stop()
        child.tell()
        assert child.hear() == b"y"


def test_run_times_are_moving_means_over_all_seats() -> None:
    board = make_board(2)
    assert (board.mean_ms, board.run_times) == (None, {})
    board.seat(0).note_run("echo", 10)
    assert (board.mean_ms, board.run_times) == (10, {"echo": 10})
    board.seat(1).note_run("echo", 30)
    board.seat(1).note_run("not-ours", 30)
    assert (board.mean_ms, board.run_times) == (20, {"echo": 20})
    board.seat(0).note_run("sleep", 0)
    assert 0 < board.run_times["sleep"] < 0.01
    assert board.mean_ms is not None
    assert 10 < board.mean_ms < 20
