"""Every metric of the service: name, meaning, labels and buckets, and which event moves which. Only data.

What happens is told once, by `log_event`; a counter or histogram moves because an event of this table is told. Labels
are bounded: a value outside a closed set is counted as `other`, and no tenant, queue or job type is ever one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Values = tuple[str, ...]

EXECUTORS: Values = ("handler", "http", "pull")
JOB_POOLS: Values = ("handlers", "egress")
POOLS: Values = (*JOB_POOLS, "deliveries")
UNFINISHED_STATES: Mapping[str, Values] = {
    **dict.fromkeys(JOB_POOLS, ("scheduled", "available", "dispatched", "executing", "retryable", "suspended")),
    "deliveries": ("waiting", "pending", "dispatched", "delivering", "held"),
}
EGRESS_FAILURES: Values = ("refused", "dns", "connect", "tls", "timeout", "disconnected", "protocol", "too-large")
EGRESS_REASONS: Values = ("url", "header", "name", "address", "origin", "own")
# Bounded by the code and not by a list: an event's name, the pattern of an address, a status.
BOUNDED: Values = ()

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `labels` maps each label to the values it may take; `BOUNDED` when the code bounds them."""

    kind: Kind
    name: str
    help: str
    labels: Mapping[str, Values] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """What one event does to a metric: it adds, or observes, the `amount` field times `scale`; without one it adds 1.

    Labels are fields of the event, except those that `always` names.
    """

    metric: Metric
    amount: str | None = None
    scale: float = 1.0
    always: Mapping[str, str] = field(default_factory=dict)


def _counter(name: str, help: str, **labels: Values) -> Metric:  # noqa: A002 (Prometheus' word)
    return Metric("counter", f"jobservice_{name}_total", help, labels)


def _histogram(name: str, help: str, buckets: tuple[float, ...], **labels: Values) -> Metric:  # noqa: A002 (as above)
    return Metric("histogram", f"jobservice_{name}_seconds", help, labels, buckets)


def _gauge(name: str, help: str, **labels: Values) -> Metric:  # noqa: A002 (as above)
    return Metric("gauge", f"jobservice_{name}", help, labels)


# Accept.
JOBS_ACCEPTED = _counter("jobs_accepted", "Jobs accepted and stored.", executor=EXECUTORS)
# Dispatch.
CLAIMED = _counter("claimed", "Jobs and deliveries claimed for a worker.", pool=POOLS)
CLAIM_SECONDS = _histogram("claim", "Duration of one claim, also of one that found nothing.", FAST, pool=POOLS)
MESSAGES_PUBLISHED = _counter("messages_published", "Messages handed to the broker.", pool=POOLS)
MESSAGES_UNKNOWN = _counter("messages_unknown", "Messages that may or may not have reached the broker.", pool=POOLS)
MESSAGES_REFUSED = _counter("messages_refused", "Messages that a worker dropped.", reason=BOUNDED)
LEASES_EXPIRED = _counter(
    "leases_expired",
    "Claims taken back because their lease ended: never started (dispatched), or started (executing, delivery).",
    state=("dispatched", "executing", "delivery"),
)
# Execute.
JOBS_STARTED = _counter("jobs_started", "Runs begun; a job that is tried again counts again.", executor=EXECUTORS)
JOB_WAIT_SECONDS = _histogram("job_wait", "From when a job was due to its first start.", LONG, executor=EXECUTORS)
# Record.
RUNS_RECORDED = _counter(
    "runs_recorded",
    "Runs whose outcome is written.",
    executor=EXECUTORS,
    outcome=("completed", "failed", "timed-out", "snoozed", "cancelled", "crashed", "released"),
)
RUN_SECONDS = _histogram("run", "Duration of a run.", LONG, executor=EXECUTORS)
JOBS_FINISHED = _counter(
    "jobs_finished",
    "Jobs that reached a terminal state.",
    executor=EXECUTORS,
    state=("completed", "discarded", "cancelled"),
)
JOBS_SUSPENDED = _counter(
    "jobs_suspended",
    "Jobs held: after a third crash, or because their type is switched off.",
    reason=("crashes", "type-disabled"),
)
STALE_WRITES = _counter(
    "stale_writes_refused",
    "Writes under an epoch that is over, which changed nothing.",
    # job: what a run came to; the others are what else a worker or a dispatcher still believed it held.
    kind=("job", "claim", "start", "renewal", "release", "delivery"),
)
# Call back.
DELIVERIES = _counter("deliveries", "Tries of webhook deliveries.", outcome=("delivered", "retried", "failed"))
DELIVERY_TRY_SECONDS = _histogram("delivery_try", "Duration of one try of a delivery.", FAST)
DELIVERY_SECONDS = _histogram("delivery", "From an event to its delivery, retries included.", LONG)
# Egress.
EGRESS_REQUESTS = _counter(
    "egress_requests", "Requests sent out, by what came of them.", outcome=("answered", *EGRESS_FAILURES)
)
EGRESS_REFUSALS = _counter("egress_refusals", "Requests refused at the moment of dialling.", reason=EGRESS_REASONS)
# HTTP.
HTTP_REQUESTS = _counter(
    "http_requests",
    "Requests answered, by the pattern of their address.",
    method=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"),
    route=BOUNDED,
    status=BOUNDED,
)
HTTP_SECONDS = _histogram("http_request", "Duration of a request.", FAST, route=BOUNDED)
# Whatever goes wrong.
WARNINGS = _counter("warnings", "Log events of level warning and error, by name.", event=BOUNDED)
# Gauges: read from the database by the dispatcher, see jobs/backlog.py.
UNFINISHED = _gauge("unfinished", "Unfinished jobs and deliveries by state.", pool=POOLS, state=BOUNDED)
OLDEST_DUE_SECONDS = _gauge("oldest_due_seconds", "Age of what has been due longest and is not claimed.", pool=POOLS)
SAMPLED_RATIO = _gauge("unfinished_sampled_ratio", "Share of the table that was counted; 1 = exact.")
READ_AT_SECONDS = _gauge("unfinished_read_at_seconds", "Unix time of these counts; old ones mean no dispatcher.")
WORKERS = _gauge("workers", "Live workers.", pool=POOLS)
WORKER_SLOTS = _gauge("worker_slots", "Slots of live workers.", pool=POOLS)
WORKER_SLOTS_FREE = _gauge("worker_slots_free", "Slots of live workers that run nothing.", pool=POOLS)

_MS = 0.001
MOVES: Mapping[str, Sequence[Move]] = {
    "job_accepted": (Move(JOBS_ACCEPTED),),
    "jobs_claimed": (Move(CLAIMED, "count"), Move(CLAIM_SECONDS, "duration_ms", _MS)),
    "deliveries_claimed": (Move(CLAIMED, "count"), Move(CLAIM_SECONDS, "duration_ms", _MS)),
    "message_published": (Move(MESSAGES_PUBLISHED),),
    "publish_unknown": (Move(MESSAGES_UNKNOWN),),
    "message_refused": (Move(MESSAGES_REFUSED),),
    "lease_expired": (Move(LEASES_EXPIRED),),
    "deliveries_reaped": (Move(LEASES_EXPIRED, "count", always={"state": "delivery"}),),
    "job_started": (Move(JOBS_STARTED), Move(JOB_WAIT_SECONDS, "wait_ms", _MS)),
    "run_recorded": (Move(RUNS_RECORDED), Move(RUN_SECONDS, "duration_ms", _MS)),
    "job_ended": (Move(JOBS_FINISHED),),
    "job_suspended": (Move(JOBS_SUSPENDED),),
    "stale_write_refused": (Move(STALE_WRITES),),
    "delivery_recorded": (
        Move(DELIVERIES),
        Move(DELIVERY_TRY_SECONDS, "duration_ms", _MS),
        Move(DELIVERY_SECONDS, "latency_ms", _MS),
    ),
    "egress_sent": (Move(EGRESS_REQUESTS),),
    "egress_refused": (Move(EGRESS_REFUSALS),),
    "request_answered": (Move(HTTP_REQUESTS), Move(HTTP_SECONDS, "duration_ms", _MS)),
}
LOUD_LEVELS = frozenset({"warning", "error"})
METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
