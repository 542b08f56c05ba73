"""What the outside knows: the driver's orders and their answers, what handlers wrote down, what the endpoint was told.

`find_faults` holds the database against it when all is quiet: the invariants I1 to I5, a sentence for each breach.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from jobservice import ids
from jobservice.jobs.outcomes import CRASHES_TO_SUSPEND
from tests.chaos.endpoint import Endpoint
from tests.chaos.orders import Order

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a handler, as it wrote it down. `ended_at` is None when it did not come to its end."""

    job: str
    epoch: int
    pid: int
    at: float
    ended_at: float | None


class Ledger:
    """Safe for several driver threads."""

    def __init__(self, handler_log: Path) -> None:
        self._handler_log = handler_log
        self._lock = threading.Lock()
        self._by_key: dict[str, list[str]] = {}
        self.orders: dict[str, Order] = {}
        # Jobs that were held and were asked to go on, and under which epoch they were held: its crashes are forgiven.
        self.let_go: dict[str, int] = {}
        self.faults: list[str] = []

    def accept(self, key: str, orders: list[Order], job_ids: list[str]) -> None:
        """A 2xx under this Idempotency-Key: from now on these jobs are promised, under these ids for ever."""
        with self._lock:
            before = self._by_key.setdefault(key, job_ids)
            if before != job_ids:
                self.faults.append(f"I1: the same request got other jobs: {before} and {job_ids}")
            self.orders.update(zip(job_ids, orders, strict=True))

    def runs(self) -> list[Run]:
        """Every run that a handler wrote down, in the order of their starts."""
        starts: list[dict[str, Any]] = []
        ends: dict[tuple[str, int], float] = {}
        for line in self._lines():
            if line["what"] == "start":
                starts.append(line)
            else:
                ends[line["job"], line["epoch"]] = line["at"]
        return [
            Run(line["job"], line["epoch"], line["pid"], line["at"], ends.get((line["job"], line["epoch"])))
            for line in starts
        ]

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._handler_log.exists():
            lines = self._handler_log.read_text().splitlines(keepends=True)
            # The last one may be half-way on its page.
            yield from (json.loads(line) for line in lines if line.endswith("\n"))


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database holds at the end, by the ids that clients see."""

    jobs: dict[str, dict[str, Any]]
    live: dict[str, dict[str, Any]]
    attempts: dict[str, list[dict[str, Any]]]
    ends: dict[str, list[dict[str, Any]]]
    open_deliveries: int


def read_stored(database_url: str) -> Stored:
    """Read it all in one snapshot. As a superuser: row-level security would hide what belongs to nobody."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        attempts, ends = defaultdict(list), defaultdict(list)
        for row in connection.execute("SELECT job_id, number, epoch, outcome FROM attempt ORDER BY number, epoch"):
            attempts[_shown(row["job_id"])].append(row)
        for row in connection.execute("SELECT id, job_id, type FROM event WHERE type = ANY(%s)", [_END_TYPES]):
            ends[_shown(row["job_id"])].append(row)
        jobs = connection.execute("SELECT id, final_state, attempt, crash_count, epoch, end_event_id FROM job")
        live = connection.execute("SELECT job_id, state, attempt, crash_count, epoch FROM job_live")
        (deliveries,) = connection.execute("SELECT count(*) AS open FROM delivery_live").fetchall()
        return Stored(
            jobs={_shown(row["id"]): row for row in jobs},
            live={_shown(row["job_id"]): row for row in live},
            attempts=attempts,
            ends=ends,
            open_deliveries=deliveries["open"],
        )


_END_TYPES = ["job.completed", "job.discarded", "job.cancelled"]


def find_faults(ledger: Ledger, stored: Stored, endpoint: Endpoint) -> list[str]:
    """Every breach of an invariant, in words; none when all is well."""
    return [
        *ledger.faults,
        *_faults_of_accept(ledger, stored),
        *_faults_of_ends(ledger, stored),
        *_faults_of_runs(ledger, stored, endpoint),
        *_faults_of_telling(ledger, stored, endpoint),
    ]


def held_jobs(stored: Stored) -> set[str]:
    """Jobs that are held because their process died under them three times: not lost, and not over."""
    return {job for job, row in stored.live.items() if row["state"] == "suspended"}


def _faults_of_accept(ledger: Ledger, stored: Stored) -> Iterator[str]:
    """I1: what was promised exists, once; what was not answered is the same job as its repeated request."""
    yield from _list("I1: accepted and not there", set(ledger.orders) - set(stored.jobs))
    yield from _list("I1: there and never accepted", set(stored.jobs) - set(ledger.orders))


def _faults_of_ends(ledger: Ledger, stored: Stored) -> Iterator[str]:
    """I2, I3: each job is over, once, in the state that its order leads to."""
    held = held_jobs(stored)
    yield from _list("I3: neither over nor held", set(stored.live) - held)
    crashes = {job: [row["outcome"] for row in stored.attempts[job]].count("crashed") for job in held}
    yield from _list("I2: held without three crashes", {job for job in held if crashes[job] < CRASHES_TO_SUSPEND})
    yield from _list("I2: held again, though nothing died any more", held & set(ledger.let_go))
    over = {job: row for job, row in stored.jobs.items() if row["final_state"] is not None}
    yield from _list("I2: live and over", set(over) & set(stored.live))
    yield from _list("I2: neither live nor over", set(stored.jobs) - set(over) - set(stored.live))
    wrong = {job for job in over if job in ledger.orders and over[job]["final_state"] != ledger.orders[job].end}
    yield from _list("I2: over in another state than ordered", wrong)


def _faults_of_runs(ledger: Ledger, stored: Stored, endpoint: Endpoint) -> Iterator[str]:
    """I4: one run at most under each epoch, an attempt of each, and as many counted as the job counts."""
    ran: dict[str, Counter[int]] = defaultdict(Counter)
    for run in ledger.runs():
        ran[run.job][run.epoch] += 1
    for job, epochs in endpoint.run_epochs.items():
        ran[job].update(epochs)
    for job, row in {**stored.jobs, **stored.live}.items():
        forgiven = ledger.let_go.get(job, -1)
        yield from _faults_of_job_runs(job, row, stored.attempts[job], ran[job], forgiven=forgiven)


def _faults_of_job_runs(
    job: str, row: dict[str, Any], attempts: list[dict[str, Any]], ran: Counter[int], *, forgiven: int
) -> Iterator[str]:
    """`forgiven` is the epoch up to which its crashes count no more."""
    epochs, outcomes = ([attempt[name] for attempt in attempts] for name in ("epoch", "outcome"))
    # A run that was given back or put off counts nothing, and the next one has its number again.
    numbers = [attempt["number"] for attempt in attempts if attempt["outcome"] not in ("released", "snoozed")]
    if any(count > 1 for count in ran.values()):
        yield f"I4: {job} ran more than once under one epoch: {dict(ran)}"
    if numbers != list(range(1, row["attempt"] + 1)) or len(set(epochs)) != len(epochs):
        yield f"I4: {job} counts {row['attempt']} attempts and has {numbers} under the epochs {epochs}"
    crashes = [attempt["epoch"] for attempt in attempts if attempt["outcome"] == "crashed"]
    if sum(epoch > forgiven for epoch in crashes) != row["crash_count"] or outcomes.count("completed") > 1:
        yield f"I4: {job} counts {row['crash_count']} crashes and has {outcomes}"
    if set(ran) - set(epochs):
        yield f"I4: {job} of epoch {row['epoch']} ran under {sorted(ran)} and has attempts of {epochs}"


def _faults_of_telling(ledger: Ledger, stored: Stored, endpoint: Endpoint) -> Iterator[str]:
    """I5: one terminal event per job that is over, told under its id to whoever asked, signed."""
    yield from _list("I5: a signature that does not verify", set(endpoint.refused))
    if stored.open_deliveries:
        yield f"I5: {stored.open_deliveries} deliveries are not over"
    for job, row in stored.jobs.items():
        ends = [event["id"] for event in stored.ends[job]]
        expected = [] if row["final_state"] is None else [row["end_event_id"]]
        if ends != expected:
            yield f"I5: {job} is {row['final_state']} and has the terminal events {ends}"
        told = set(endpoint.callbacks.get(job, ()))
        wanted = {ids.show_id(ids.EVENT, end) for end in ends} if _is_told(ledger, job) else set()
        if told != wanted:
            yield f"I5: {job} was told under {sorted(told)} and not under {sorted(wanted)}"


def _is_told(ledger: Ledger, job: str) -> bool:
    return job in ledger.orders and ledger.orders[job].has_callback


def _list(what: str, found: set[str]) -> list[str]:
    some = ", ".join(sorted(found)[:SHOWN])
    return [f"{what}: {len(found)}, such as {some}"] if found else []


def _shown(job_id: Any) -> str:
    return ids.show_id(ids.JOB, job_id)
