"""How much a metric moved since a moment: the tests of one process share its counters."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from jobservice.meters import show_metrics

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse_metrics(text: str) -> Series:
    """Every series of an exposition, by name and labels. Fails when it is not Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Moment:
    """The metrics of this process as they were when it was made."""

    def __init__(self) -> None:
        self._before = parse_metrics(show_metrics().decode())

    def moved(self, name: str, **labels: str) -> float:
        """By how much one series has moved since."""
        key = (name, frozenset(labels.items()))
        return parse_metrics(show_metrics().decode()).get(key, 0.0) - self._before.get(key, 0.0)

    def all_moved(self) -> Iterator[str]:
        """The names of the series that moved since."""
        for (name, labels), value in parse_metrics(show_metrics().decode()).items():
            if value != self._before.get((name, labels), 0.0):
                yield name
