"""Processor time of processes, from /proc: unlike a rate, it hardly changes with what else the machine does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psycopg

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Numbers of proc(5), counted from the field after the command's name, which may hold anything.
_GROUP, _USER, _SYSTEM = 2, 11, 12


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes together; one that is gone, or on another machine, counts nothing."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += int(fields[_USER]) + int(fields[_SYSTEM]) if fields else 0
    return ticks / _TICKS_PER_SECOND


def exact_cpu_seconds(pid: int) -> float:
    """The time that this one process, of one thread, has had a processor, to the nanosecond; 0 where it is not told."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return 0.0


def group_pids(group: int) -> list[int]:
    """Every process of a process group."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[_GROUP]) == group]


def backend_pids(connection: psycopg.Connection) -> list[int]:
    """The server's processes that serve the connection's database, without its own."""
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    return [int(row[0]) for row in rows]


def _stat(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
