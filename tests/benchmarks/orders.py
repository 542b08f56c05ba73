"""What a measurement asks of the process that makes the load, and what that answers. Plain values, sent as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOrder:
    """POST `jobs` jobs numbered from `first` on.

    `per_request` above 1 sends them to the bulk address. With `per_second` the requests are sent at an even rate,
    whether the answers keep up or not; without, each connection sends when its answer is there.
    """

    host: str
    port: int
    jobs: int
    first: int
    connections: int
    key: str = field(default="", repr=False)
    per_request: int = 1
    per_second: float | None = None
    job: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOrder:
    """GET each job with its result. `jobs` are pairs of an id and the number whose payload the result must be."""

    host: str
    port: int
    connections: int
    jobs: list[tuple[str, int]]
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The jobs that were accepted, by id; and of each request when it was sent and answered (monotonic seconds)."""

    jobs: dict[str, int]
    sent: list[float]
    answered: list[float]
    refusals: list[str]

    @property
    def rate(self) -> float:
        """Jobs accepted per second, from the first request to the last answer."""
        return len(self.jobs) / (max(self.answered) - min(self.sent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was wrong, one sentence per job; and of each job (latency_ms, dispatched_at, finished_at) as answered."""

    faults: list[str]
    times: list[tuple[float, str, str]]


@dataclass(frozen=True, slots=True)
class ReadsOrder:
    """Time the reads of a console's pages from so many jobs of one tenant."""

    superuser_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    jobs: int
