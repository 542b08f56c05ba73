"""Counts what happens: each event moves its metrics, in this process's memory or in the folder shared with others.

A process that is to be seen calls `keep_metrics_in` once at its start; others (a command, a test) count for themselves.
A metric never fails what it measures: when the folder cannot be written any more, the process counts for itself.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector

from jobservice.metric_folder import MetricFolder
from jobservice.metrics import LOUD_LEVELS, METRICS, MOVES, WARNINGS, Metric, Move

OTHER = "other"
_IN_MEMORY = values.MutexValue

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

# Held around every use of the library, and across a fork: a child must not inherit one of its locks from a thread that
# it did not inherit.
_gate = threading.Lock()


class _Meters:
    """The instruments of one process. The library chooses where values live when an instrument is made."""

    def __init__(self, folder: MetricFolder | None) -> None:
        self.folder = folder
        self._registry = CollectorRegistry()
        self._adders: dict[tuple[str, tuple[str, ...]], Callable[[float], None]] = {}
        if folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder.path)
            # The library's own way to name a process by something other than its pid.
            values.ValueClass = values.MultiProcessValue(folder.seat)  # type: ignore[no-untyped-call]
        else:
            values.ValueClass = _IN_MEMORY
        self._instruments = {metric.name: _make(metric, self._registry) for metric in METRICS}

    def move(self, metric: Metric, labels: tuple[str, ...], amount: float) -> None:
        """Add to the counter, observe in the histogram or set the gauge."""
        key = (metric.name, labels)
        adder = self._adders.get(key)
        if adder is None:
            instrument = self._instruments[metric.name]
            child = instrument.labels(*labels) if labels else instrument
            adder = self._adders[key] = getattr(child, _VERBS[metric.kind])
        adder(amount)

    def families(self) -> Iterable[Family]:
        """What is known now, of every process that shares the folder."""
        if self.folder is None:
            return list(self._registry.collect())
        return list(MultiProcessCollector.merge(self.folder.readable_files()))  # type: ignore[no-untyped-call]


_VERBS = {"counter": "inc", "histogram": "observe", "gauge": "set"}


def keep_metrics_in(path: Path) -> None:
    """Share this process's metrics through the folder from now on. Call once, before anything is counted."""
    global _meters
    with _gate:
        try:
            folder = MetricFolder(path)
            folder.seat()
        except OSError as error:
            _complain("metrics_unavailable", error)
            return
        _meters = _Meters(folder)


def count_event(event: str, level: str, fields: Mapping[str, Any]) -> None:
    """Move the metrics of this event, if it has any."""
    moves = MOVES.get(event, ())
    if not moves and level not in LOUD_LEVELS:
        return
    for move in moves:
        amount = 1.0 if move.amount is None else fields.get(move.amount)
        if amount is not None:
            _move(move.metric, _labels(move, fields), amount * move.scale)
    if level in LOUD_LEVELS:
        _move(WARNINGS, (event,), 1.0)


def set_gauge(metric: Metric, value: float, **labels: str) -> None:
    """Say how things are now. Labels in the order of the table."""
    _move(metric, tuple(labels[name] for name in metric.labels), value)


def show_metrics() -> bytes:
    """All of it in Prometheus' text format. A counter that has not moved shows as 0, so that its first move is seen."""
    registry = CollectorRegistry()
    registry.register(_Whole(_meters))
    return generate_latest(registry)


def read_metric(name: str, **labels: str) -> float:
    """The value of one series by its full name, such as `jobservice_run_seconds_count`; 0 when it has none."""
    samples = (sample for family in _meters.families() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and sample.labels == labels)


class _Whole:
    """The families of all processes, each metric of the table among them."""

    def __init__(self, meters: _Meters) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Family]:
        found = {family.name: family for family in self._meters.families()}
        for metric in METRICS:
            name = metric.name.removesuffix("_total")
            family = found.get(name) or Family(name, metric.help, metric.kind)
            if metric.kind == "counter":
                _add_zeros(family, metric)
            yield family


def _add_zeros(family: Family, metric: Metric) -> None:
    seen = {tuple(sample.labels.get(name) for name in metric.labels) for sample in family.samples}
    # A label whose values no list bounds makes the product empty.
    for values_ in product(*metric.labels.values()):
        if values_ not in seen:
            family.add_sample(metric.name, dict(zip(metric.labels, values_, strict=True)), 0.0)


def _make(metric: Metric, registry: CollectorRegistry) -> Any:
    labels = tuple(metric.labels)
    match metric.kind:
        case "counter":
            return Counter(metric.name, metric.help, labels, registry=registry)
        case "histogram":
            return Histogram(metric.name, metric.help, labels, registry=registry, buckets=metric.buckets)
        case "gauge":
            return Gauge(metric.name, metric.help, labels, registry=registry, multiprocess_mode="mostrecent")


def _labels(move: Move, fields: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        _bounded(move.always.get(name) or fields.get(name), known) for name, known in move.metric.labels.items()
    )


def _bounded(value: object, known: tuple[str, ...]) -> str:
    text = str(value)
    return text if not known or text in known else OTHER


def _move(metric: Metric, labels: tuple[str, ...], amount: float) -> None:
    global _meters
    with _gate:
        try:
            _meters.move(metric, labels, amount)
        except OSError as error:
            _meters = _Meters(None)
            _meters.move(metric, labels, amount)
            _complain("metrics_unavailable", error)


def _complain(event: str, error: OSError) -> None:
    """Not `log_event`, which counts."""
    logging.getLogger("jobservice").warning("%s %s", event, type(error).__name__)


def _after_fork_in_child() -> None:
    global _gate
    _gate = threading.Lock()


os.register_at_fork(
    before=lambda: _gate.acquire(), after_in_parent=lambda: _gate.release(), after_in_child=_after_fork_in_child
)
_meters = _Meters(None)
