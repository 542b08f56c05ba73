"""The database server itself: its version, its clock, whether a commit is on disk, and who holds back its vacuum."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from workers.doctor.finding import Finding, ok, problem, show_age, warning
from workers.doctor.reader import CannotRead, Reader
from workers.supervisor.provision import OLDEST_SERVER_VERSION

ROLES = ("owner", "web", "worker", "dispatcher")
# Leases and due times use the database's clock alone; ids, and so partitions, use each machine's.
SKEW_NOTED_SECONDS, SKEW_REFUSED_SECONDS = 2.0, 60.0
TRANSACTION_NOTED_SECONDS, TRANSACTION_REFUSED_SECONDS = 60.0, 900.0


def check_version(reader: Reader) -> Finding:
    (row,) = reader.read("owner", "SELECT current_setting('server_version_num')::integer AS number")
    return judge_version(row.number)


def judge_version(number: int) -> Finding:
    shown = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST_SERVER_VERSION:
        return problem(f"The server is {shown}.", fix="Move to PostgreSQL 15 or newer.")
    return ok(f"{shown}.")


def check_clock(reader: Reader) -> Finding:
    before = time.time()
    (row,) = reader.read("owner", "SELECT extract(epoch FROM clock_timestamp())::float8 AS seconds")
    after = time.time()
    # Inside the round trip there is no telling; outside it, the difference is real.
    return judge_clock(max(before - row.seconds, row.seconds - after, 0.0))


def judge_clock(skew_seconds: float) -> Finding:
    detail = f"This machine's clock and the database's differ by {skew_seconds:.1f} s."
    fix = "Synchronise the clocks of all machines (NTP)."
    if skew_seconds >= SKEW_REFUSED_SECONDS:
        return problem(detail, fix=fix)
    return warning(detail, fix=fix) if skew_seconds >= SKEW_NOTED_SECONDS else ok(detail)


def check_durability(reader: Reader) -> Finding:
    """Whether what the web process answers with 2xx is on disk by then."""
    (row,) = reader.read(
        "web",
        "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes, "
        "current_setting('synchronous_commit') AS synchronous_commit",
    )
    return judge_durability(row._asdict())


def judge_durability(settings: dict[str, str]) -> Finding:
    off = sorted(name for name, value in settings.items() if value == "off")
    if off:
        return problem(
            f"{', '.join(off)} is off: a crash of the server can lose accepted jobs.",
            fix="Switch it on in postgresql.conf.",
        )
    return ok("A commit is on disk before it is answered.")


def check_oldest_transaction(reader: Reader) -> Finding:
    """As each role in turn, because a role sees the times of its own sessions only."""
    rows: list[Any] = []
    for role in ROLES:
        with suppress(CannotRead):  # `roles` says so
            rows += reader.read(role, "oldest_transaction")
    return judge_oldest_transaction([(row.login, row.seconds) for row in rows if row.seconds is not None])


def judge_oldest_transaction(ages: list[tuple[str, float]]) -> Finding:
    if not ages:
        return ok("No transaction is open.")
    login, seconds = max(ages, key=lambda age: age[1])
    detail = f"The oldest open transaction ({login}) is {show_age(seconds)} old."
    if seconds < TRANSACTION_NOTED_SECONDS:
        return ok(detail)
    fix = "End that session (pg_terminate_backend): while it lasts, dead rows of the queue cannot be removed."
    return problem(detail, fix=fix) if seconds >= TRANSACTION_REFUSED_SECONDS else warning(detail, fix=fix)
