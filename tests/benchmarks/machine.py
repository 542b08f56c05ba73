"""What a run was measured on, and whether it had the machine to itself."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from tests.benchmarks.servers import Servers, show_setting
from tests.benchmarks.site import CONNECTIONS, HANDLER_PROCESSES, WEB_THREADS, WEB_WORKERS

_BUSY_PER_CORE = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """`load` is the average of the last minute when the run began."""

    cores: int
    python: str
    postgres: str
    broker: str
    synchronous_commit: str
    fsync: str
    load: float

    @property
    def is_busy(self) -> bool:
        return self.load > _BUSY_PER_CORE * self.cores

    @property
    def line(self) -> str:
        return (
            f"{self.cores} cores, Python {self.python}, PostgreSQL {self.postgres} "
            f"(synchronous_commit {self.synchronous_commit}, fsync {self.fsync}), {self.broker}; "
            f"{WEB_WORKERS} x {WEB_THREADS} web threads, {HANDLER_PROCESSES} handler processes, 1 egress process; "
            f"{CONNECTIONS} connections of load from a process of its own"
        )


def look_at_machine(servers: Servers, *, load: float) -> Machine:
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        postgres=show_setting(servers, "server_version").split()[0],
        broker=servers.broker_name,
        synchronous_commit=show_setting(servers, "synchronous_commit"),
        fsync=show_setting(servers, "fsync"),
        load=load,
    )
