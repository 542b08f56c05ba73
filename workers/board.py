"""The board: shared memory in which each pool process shows what it runs, and its parent shows which runs must end.

Allocated before the pool forks. A process writes its own seat, its parent writes only flags. A group is published under
a sequence number (odd while it is being written) and a checksum, so that half a group is never taken for a whole one;
what changes while the group runs are single aligned words. Flags carry their group's sequence: a late one hits nobody.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from uuid import UUID

from jobservice.crypto.message_mac import MAX_REFS, Ref

MAX_TIMED_HANDLERS = 128
_REF = struct.Struct("=16s16sQI")
_FLAG_BITS = 8
_READ_TRIES = 50
_SMOOTHING = 0.2


class Phase(IntEnum):
    IDLE = 0
    STARTING = 1
    RUNNING = 2


class JobState(IntEnum):
    """Where a job of a group is. Settled: written, or given up, so that nobody need care for it any more."""

    WAITING = 0
    RUNNING = 1
    DONE = 2
    SETTLED = 3


class Flag(IntFlag):
    """Why a run must end: somebody asked, its time is up, its lease is lost, or this worker lets go of it."""

    NONE = 0
    CANCEL = 1
    DEADLINE = 2
    LOST = 4
    STOP = 8


@dataclass(frozen=True, slots=True)
class BoardJob:
    """One job of a group; instants are this machine's monotonic nanoseconds."""

    ref: Ref
    timeout_seconds: int
    state: JobState
    started_ns: int
    flags: Flag


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one seat showed at one moment; `jobs` is empty when the process is idle."""

    seat: int
    pid: int
    sequence: int
    phase: Phase
    opened_ns: int
    jobs: tuple[BoardJob, ...]


class _Mark(ctypes.Structure):
    _fields_ = [("started_ns", ctypes.c_uint64), ("flags", ctypes.c_uint64), ("state", ctypes.c_uint64)]


class _Region(ctypes.Structure):
    _fields_ = [
        ("sequence", ctypes.c_uint64),
        ("opened_ns", ctypes.c_uint64),
        ("pid", ctypes.c_uint64),
        ("phase", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("checksum", ctypes.c_uint64),
        ("mean_ms", ctypes.c_double),
        ("handler_ms", ctypes.c_double * MAX_TIMED_HANDLERS),
        ("marks", _Mark * MAX_REFS),
        ("refs", ctypes.c_ubyte * (_REF.size * MAX_REFS)),
    ]


class _Header(ctypes.Structure):
    _fields_ = [
        ("worker_id", ctypes.c_ubyte * 16),
        ("has_worker_id", ctypes.c_uint64),
        ("is_stopping", ctypes.c_uint64),
    ]


class Board:
    """The parent's view: read any seat, raise flags, clear the seat of a dead process."""

    def __init__(self, *, seats: int, handlers: Sequence[str]) -> None:
        """Allocate. Call before the fork; `handlers` must be in the same order in parent and children."""
        self.seats = seats
        self.handlers = tuple(handlers[:MAX_TIMED_HANDLERS])
        step = ctypes.sizeof(_Region)
        self._memory = mmap.mmap(-1, ctypes.sizeof(_Header) + seats * step)
        self._header = _Header.from_buffer(self._memory)
        self._regions = [_Region.from_buffer(self._memory, ctypes.sizeof(_Header) + n * step) for n in range(seats)]

    @property
    def worker_id(self) -> UUID | None:
        """The id this worker is registered under; None until it is."""
        return UUID(bytes=bytes(self._header.worker_id)) if self._header.has_worker_id else None

    @worker_id.setter
    def worker_id(self, value: UUID) -> None:
        ctypes.memmove(self._header.worker_id, value.bytes, 16)
        self._header.has_worker_id = 1

    @property
    def is_stopping(self) -> bool:
        """Whether children must not begin anything any more."""
        return bool(self._header.is_stopping)

    def stop(self) -> None:
        self._header.is_stopping = 1

    def seat(self, index: int) -> Seat:
        """The view of the pool process with this index."""
        return Seat(self, self._regions[index])

    def read(self, index: int) -> Snapshot | None:
        """What a seat shows; None when it was being written each time we looked (or its writer died writing)."""
        region = self._regions[index]
        for _ in range(_READ_TRIES):
            sequence = region.sequence
            if sequence % 2:
                continue
            snapshot = _read_region(index, region, sequence)
            if snapshot is not None and region.sequence == sequence:
                return snapshot
        return None

    def raise_flag(self, snapshot: Snapshot, place: int, flag: Flag) -> None:
        """Ask one job of this group to end. Adds to the flags it has."""
        mark = self._regions[snapshot.seat].marks[place]
        mark.flags = _pack_flags(snapshot.sequence, _flags_for(mark.flags, snapshot.sequence) | flag)

    def pid(self, index: int) -> int:
        """The process in a seat; 0 when there is none."""
        return int(self._regions[index].pid)

    def clear(self, index: int) -> None:
        """Empty the seat of a process that is gone, for the next one."""
        region = self._regions[index]
        region.pid, region.count, region.phase = 0, 0, Phase.IDLE
        region.checksum = _checksum(region, b"")
        region.sequence += 1 + (region.sequence + 1) % 2

    @property
    def mean_ms(self) -> float | None:
        """Mean run time over all processes in milliseconds; None while nothing has run."""
        return _mean([region.mean_ms for region in self._regions])

    @property
    def run_times(self) -> dict[str, float]:
        """Mean run time of each handler that has run, in milliseconds."""
        means = {
            name: _mean([region.handler_ms[place] for region in self._regions])
            for place, name in enumerate(self.handlers)
        }
        return {name: mean for name, mean in means.items() if mean is not None}


class Seat:
    """A pool process's view of its own region: only that process may use it."""

    def __init__(self, board: Board, region: _Region) -> None:
        self.board = board
        self._region = region

    @property
    def sequence(self) -> int:
        """The number of the group that is on the board now."""
        return int(self._region.sequence)

    def take(self, pid: int) -> None:
        """Sit down: this process is the one to watch from now on."""
        self._publish(Phase.IDLE, [], 0)
        self._region.pid = pid

    def open_group(self, refs: Sequence[Ref], now_ns: int) -> None:
        """Show the jobs this process is about to start, so that none is orphaned if it dies while it starts them."""
        self._publish(Phase.STARTING, [(ref, 0) for ref in refs], now_ns)

    def admit(self, jobs: Sequence[tuple[Ref, int]], now_ns: int) -> None:
        """Show the jobs that started, each with its timeout in seconds; a place is an index into this list."""
        self._publish(Phase.RUNNING, jobs, now_ns)

    def close_group(self) -> None:
        self._publish(Phase.IDLE, [], 0)

    def mark_running(self, place: int, now_ns: int) -> None:
        mark = self._region.marks[place]
        mark.started_ns = now_ns
        mark.state = JobState.RUNNING

    def mark_waiting(self, place: int) -> None:
        """It was cut short without an outcome and is to be given back."""
        self._region.marks[place].state = JobState.WAITING

    def mark_done(self, place: int) -> None:
        """It ended, but nothing of that is written yet."""
        self._region.marks[place].state = JobState.DONE

    def mark_settled(self, place: int, *, sequence: int) -> None:
        """It needs no care any more. Ignored when the group on the board is another one by now."""
        if self._region.sequence == sequence:
            self._region.marks[place].state = JobState.SETTLED

    def flags(self, place: int) -> Flag:
        """Why this job must end; `NONE` when it may go on."""
        return _flags_for(self._region.marks[place].flags, self._region.sequence)

    def note_run(self, handler: str, milliseconds: float) -> None:
        """Take a run time into the moving means. Never 0, which stands for "has not run"."""
        seen = max(milliseconds, 1e-3)
        self._region.mean_ms = _smooth(self._region.mean_ms, seen)
        if handler in self.board.handlers:
            place = self.board.handlers.index(handler)
            self._region.handler_ms[place] = _smooth(self._region.handler_ms[place], seen)

    def _publish(self, phase: Phase, jobs: Sequence[tuple[Ref, int]], now_ns: int) -> None:
        packed = b"".join(_REF.pack(ref.tenant_id.bytes, ref.id.bytes, ref.epoch, timeout) for ref, timeout in jobs)
        region = self._region
        region.sequence += 1 + region.sequence % 2  # odd, also after a predecessor that died while writing
        region.phase, region.opened_ns, region.count = phase, now_ns, len(jobs)
        ctypes.memmove(region.refs, packed, len(packed))
        for place in range(len(jobs)):
            region.marks[place].started_ns, region.marks[place].state = 0, JobState.WAITING
        region.checksum = _checksum(region, packed)
        region.sequence += 1


def _read_region(index: int, region: _Region, sequence: int) -> Snapshot | None:
    count = region.count
    if count > MAX_REFS:
        return None
    packed = ctypes.string_at(ctypes.addressof(region.refs), _REF.size * count)
    if _checksum(region, packed) != region.checksum:
        return None
    jobs = tuple(
        _board_job(values, region.marks[place], sequence) for place, values in enumerate(_REF.iter_unpack(packed))
    )
    return Snapshot(index, region.pid, sequence, Phase(region.phase), region.opened_ns, jobs)


def _board_job(values: tuple[bytes, bytes, int, int], mark: _Mark, sequence: int) -> BoardJob:
    tenant, job, epoch, timeout_seconds = values
    ref = Ref(UUID(bytes=tenant), UUID(bytes=job), epoch)
    return BoardJob(ref, timeout_seconds, JobState(mark.state), mark.started_ns, _flags_for(mark.flags, sequence))


def _checksum(region: _Region, packed: bytes) -> int:
    head = struct.pack("=QQQ", region.phase, region.opened_ns, region.count)
    return zlib.crc32(packed, zlib.crc32(head))


def _pack_flags(sequence: int, flags: Flag) -> int:
    return (sequence << _FLAG_BITS | flags) & 0xFFFFFFFFFFFFFFFF


def _flags_for(packed: int, sequence: int) -> Flag:
    return Flag(packed & 0xFF) if packed >> _FLAG_BITS == sequence else Flag.NONE


def _smooth(mean: float, seen: float) -> float:
    return seen if mean == 0 else mean + _SMOOTHING * (seen - mean)


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if value > 0]
    return sum(known) / len(known) if known else None
