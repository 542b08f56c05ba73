"""How a pool process's runs lie in the shared memory of the board: a header, then one region per seat.

A group is published under a sequence number (odd while it is being written) and a checksum, so that half a group is
never taken for a whole one; what changes while the group runs are single aligned words. Flags carry their group's
sequence: a late one hits nobody.
"""

from __future__ import annotations

import ctypes
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


class Region(ctypes.Structure):
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


class Header(ctypes.Structure):
    _fields_ = [
        ("worker_id", ctypes.c_ubyte * 16),
        ("has_worker_id", ctypes.c_uint64),
        ("is_stopping", ctypes.c_uint64),
    ]


def pack_jobs(jobs: Sequence[tuple[Ref, int]]) -> bytes:
    """Jobs, each with its timeout in seconds, as a region holds them."""
    return b"".join(_REF.pack(ref.tenant_id.bytes, ref.id.bytes, ref.epoch, timeout) for ref, timeout in jobs)


def read_region(index: int, region: Region, sequence: int) -> Snapshot | None:
    """What the seat shows; None when it is not whole."""
    count = region.count
    if count > MAX_REFS:
        return None
    packed = ctypes.string_at(ctypes.addressof(region.refs), _REF.size * count)
    if checksum(region, packed) != region.checksum:
        return None
    jobs = tuple(
        _board_job(values, region.marks[place], sequence) for place, values in enumerate(_REF.iter_unpack(packed))
    )
    return Snapshot(index, region.pid, sequence, Phase(region.phase), region.opened_ns, jobs)


def _board_job(values: tuple[bytes, bytes, int, int], mark: _Mark, sequence: int) -> BoardJob:
    tenant, job, epoch, timeout_seconds = values
    ref = Ref(UUID(bytes=tenant), UUID(bytes=job), epoch)
    return BoardJob(ref, timeout_seconds, JobState(mark.state), mark.started_ns, flags_for(mark.flags, sequence))


def checksum(region: Region, packed: bytes) -> int:
    """Over what is published at once: the head of the group and its jobs."""
    head = struct.pack("=QQQ", region.phase, region.opened_ns, region.count)
    return zlib.crc32(packed, zlib.crc32(head))


def pack_flags(sequence: int, flags: Flag) -> int:
    """Flags with the number of their group, as one aligned word."""
    return (sequence << _FLAG_BITS | flags) & 0xFFFFFFFFFFFFFFFF


def flags_for(packed: int, sequence: int) -> Flag:
    """The flags in such a word; none when they are of another group."""
    return Flag(packed & 0xFF) if packed >> _FLAG_BITS == sequence else Flag.NONE
