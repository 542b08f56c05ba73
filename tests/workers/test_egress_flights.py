"""What a pool of the egress process has in flight: every start ends in one record, one release, or a lost lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import UUID

import pytest
from django.db import OperationalError

from jobservice.crypto.message_mac import Ref
from jobservice.ids import new_id
from tests.stopwatch import Stopwatch
from workers.egress_flights import FlightPool
from workers.egress_work import Look

WORKER = new_id()
PATIENCE_SECONDS = 60.0


def ref() -> Ref:
    return Ref(new_id(), new_id(), 1)


class FakeWork:
    """Work whose sends end when the test says so, and whose database answers as the test says."""

    pool = "egress"

    def __init__(self) -> None:
        self.sending: list[Ref] = []
        self.cut: list[Ref] = []
        self.recorded: list[str] = []
        self.released: list[Ref] = []
        self.released_by: list[UUID] = []
        self.lost: set[Ref] = set()
        self.cancelled: set[Ref] = set()
        self.renewals = 0
        self.looks = 0
        self.is_database_away = False
        self.gates: dict[Ref, asyncio.Event] = {}
        self.breaks: set[Ref] = set()
        self.changed = threading.Condition()

    def start(self, refs: Sequence[Ref], *, worker_id: UUID) -> list[tuple[Ref, Ref]]:
        return [(item, item) for item in refs]

    async def send(self, started: Ref) -> str:
        self.gates[started] = asyncio.Event()
        with self.changed:
            self.sending.append(started)
            self.changed.notify_all()
        try:
            await self.gates[started].wait()
        except asyncio.CancelledError:
            self.cut.append(started)
            raise
        if started in self.breaks:
            raise RuntimeError
        return f"sent {started.id}"

    def end_without_answer(self, started: Ref, code: str) -> str:
        return f"{code} {started.id}"

    def record(self, ended: Sequence[str]) -> None:
        if self.is_database_away:
            raise OperationalError
        with self.changed:
            self.recorded.extend(ended)
            self.changed.notify_all()

    def renew(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        self.renewals += 1
        return self._answer(refs)

    def look(self, refs: Sequence[Ref], *, worker_id: UUID) -> Look:
        self.looks += 1
        return self._answer(refs)

    def release(self, refs: Sequence[Ref], *, worker_id: UUID) -> int:
        self.released.extend(refs)
        self.released_by.append(worker_id)
        return len(refs)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_SECONDS)

    def _answer(self, refs: Collection[Ref]) -> Look:
        if self.is_database_away:
            raise OperationalError
        return Look(kept={item for item in refs if item not in self.lost}, cancelled=self.cancelled)


class Rig:
    """A pool on a running loop."""

    def __init__(self, *, slots: int = 10, lease_seconds: float = 30.0) -> None:
        self.work = FakeWork()
        self.loop = asyncio.new_event_loop()
        self.wakes = 0
        self.pool: FlightPool[Ref, str] = FlightPool(
            self.work, loop=self.loop, slots=slots, lease_seconds=lease_seconds, on_recorded=self._note_wake
        )
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def admit(self, *refs: Ref) -> None:
        self.pool.admit(refs, worker_id=WORKER)

    def finish(self, item: Ref) -> None:
        self.loop.call_soon_threadsafe(self.work.gates[item].set)

    def sync(self) -> None:
        """Wait until the loop has done what it was asked to do so far."""
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(PATIENCE_SECONDS)

    def close(self) -> None:
        self.work.is_database_away = False
        self.pool.drain(0)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self.loop.close()

    def _note_wake(self) -> None:
        self.wakes += 1


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**options: float) -> Rig:
        rigs.append(Rig(**options))  # type: ignore[arg-type]  # slots are whole numbers in every call
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_what_was_sent_is_recorded_and_the_dispatcher_woken(make_rig: Callable[..., Rig]) -> None:
    rig, item = make_rig(), ref()
    rig.admit(item)
    rig.work.wait_for(lambda: rig.work.sending == [item])
    rig.finish(item)
    rig.work.wait_for(lambda: rig.work.recorded == [f"sent {item.id}"])
    rig.pool.drain(PATIENCE_SECONDS)
    assert rig.wakes == 1
    assert rig.work.released == []


def test_admitting_does_not_wait_for_a_slot_and_no_more_than_the_slots_are_sent_at_once(
    make_rig: Callable[..., Rig],
) -> None:
    rig, items = make_rig(slots=2), [ref() for _ in range(5)]
    rig.admit(*items)
    rig.work.wait_for(lambda: len(rig.work.sending) == 2)
    rig.sync()
    assert rig.work.sending == items[:2]
    rig.finish(items[0])
    rig.work.wait_for(lambda: rig.work.sending == items[:3])


def test_a_send_that_breaks_is_recorded_and_frees_its_slot(make_rig: Callable[..., Rig]) -> None:
    rig, bad, good = make_rig(slots=1), ref(), ref()
    rig.work.breaks.add(bad)
    rig.admit(bad, good)
    rig.work.wait_for(lambda: bad in rig.work.gates)
    rig.finish(bad)
    rig.work.wait_for(lambda: rig.work.recorded == [f"internal {bad.id}"])
    rig.work.wait_for(lambda: rig.work.sending == [bad, good])


def test_a_cancelled_job_is_cut_and_recorded(make_rig: Callable[..., Rig]) -> None:
    rig, item, other = make_rig(), ref(), ref()
    rig.admit(item, other)
    rig.work.wait_for(lambda: len(rig.work.sending) == 2)
    rig.work.cancelled.add(item)
    rig.pool.look_after()
    rig.work.wait_for(lambda: rig.work.recorded == [f"cancelled {item.id}"])
    rig.finish(other)
    rig.work.wait_for(lambda: len(rig.work.recorded) == 2)


def test_a_job_cancelled_while_it_waits_for_a_slot_is_never_sent(make_rig: Callable[..., Rig]) -> None:
    rig, first, second = make_rig(slots=1), ref(), ref()
    rig.admit(first, second)
    rig.work.wait_for(lambda: rig.work.sending == [first])
    rig.work.cancelled.add(second)
    rig.pool.look_after()
    rig.work.wait_for(lambda: rig.work.recorded == [f"cancelled {second.id}"])
    assert rig.work.sending == [first]


def test_a_lost_lease_is_cut_and_nothing_of_it_is_recorded(make_rig: Callable[..., Rig]) -> None:
    rig, item = make_rig(), ref()
    rig.admit(item)
    rig.work.wait_for(lambda: rig.work.sending == [item])
    rig.work.lost.add(item)
    rig.pool.look_after()
    rig.sync()
    assert rig.work.cut == [item]
    rig.pool.drain(PATIENCE_SECONDS)
    assert (rig.work.recorded, rig.work.released) == ([], [])


def test_leases_are_renewed_each_third_of_their_length_and_only_looked_at_between(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    rig, item = make_rig(lease_seconds=30), ref()
    rig.admit(item)
    for _ in range(25):
        rig.pool.look_after()
        clock.now += 1
    assert (rig.work.renewals, rig.work.looks) == (3, 22)


def test_a_process_that_cannot_renew_cuts_its_sends_at_two_thirds_of_the_lease(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    rig, item = make_rig(lease_seconds=30), ref()
    rig.admit(item)
    rig.work.wait_for(lambda: rig.work.sending == [item])
    rig.work.is_database_away = True
    clock.now += 19
    rig.pool.look_after()
    rig.sync()
    assert rig.work.cut == []
    clock.now += 2
    rig.pool.look_after()
    rig.sync()
    assert rig.work.cut == [item]
    rig.work.is_database_away = False
    rig.pool.drain(PATIENCE_SECONDS)
    assert (rig.work.recorded, rig.work.released) == ([], [])


def test_an_outcome_waits_for_a_database_that_is_away(make_rig: Callable[..., Rig]) -> None:
    rig, item = make_rig(), ref()
    rig.admit(item)
    rig.work.wait_for(lambda: rig.work.sending == [item])
    rig.work.is_database_away = True
    rig.finish(item)
    rig.sync()
    assert rig.work.recorded == []
    rig.work.is_database_away = False
    rig.work.wait_for(lambda: rig.work.recorded == [f"sent {item.id}"])


def test_a_lease_whose_outcome_could_never_be_written_is_not_renewed_for_ever(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    rig, item = make_rig(lease_seconds=30), ref()
    rig.admit(item)
    rig.work.wait_for(lambda: rig.work.sending == [item])
    rig.work.is_database_away = True
    rig.finish(item)
    rig.sync()
    clock.now += 31
    rig.pool.look_after()
    renewals = rig.work.renewals
    rig.work.is_database_away = False
    clock.now += 31
    rig.pool.look_after()
    assert rig.work.renewals == renewals


def test_a_stop_waits_for_what_is_in_flight(make_rig: Callable[..., Rig]) -> None:
    rig, item = make_rig(), ref()
    rig.admit(item)
    rig.work.wait_for(lambda: rig.work.sending == [item])
    stopper = threading.Thread(target=rig.pool.drain, args=(PATIENCE_SECONDS,))
    stopper.start()
    rig.finish(item)
    stopper.join(PATIENCE_SECONDS)
    assert not stopper.is_alive()
    assert (rig.work.recorded, rig.work.released) == ([f"sent {item.id}"], [])


def test_a_stop_gives_back_what_does_not_end_within_the_grace(make_rig: Callable[..., Rig]) -> None:
    rig, sent, waiting = make_rig(slots=1), ref(), ref()
    rig.admit(sent, waiting)
    rig.work.wait_for(lambda: rig.work.sending == [sent])
    with Stopwatch() as watch:
        rig.pool.drain(0.05)
    assert watch.moving_seconds < 5
    assert (set(rig.work.released), rig.work.released_by) == ({sent, waiting}, [WORKER])
    assert rig.work.recorded == []
    assert rig.wakes == 1


class Clock:
    """The monotonic clock of the pool, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("workers.egress_flights.time", self)

    def monotonic(self) -> float:
        return self.now
