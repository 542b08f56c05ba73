"""`make bench`: the whole product and its rivals on one machine in one run, every job and callback verified.

Absolute figures move from machine to machine; the ratios are what counts. Exit code 1: work was lost or wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.benchmarks.bench import Bench, running_bench
from tests.benchmarks.effort import SMOKE, Effort
from tests.benchmarks.faults import CannotMeasure, NotThere, WrongWork
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import Machine, look_at_machine
from tests.benchmarks.measurements import (
    accept,
    bulk,
    callbacks,
    claims,
    echo,
    fairness,
    hostile,
    http_jobs,
    idle,
    reads,
    starts,
    unique,
    whole,
)
from tests.benchmarks.printing import show_machine, show_table, to_document
from tests.benchmarks.quiet import quiet_children
from tests.benchmarks.servers import running_servers

MEASUREMENTS: Mapping[str, Callable[[Bench], list[Figure]]] = {
    "accept": accept.measure,
    "bulk": bulk.measure,
    "echo": echo.measure,
    "http": http_jobs.measure,
    "starts": starts.measure,
    "callbacks": callbacks.measure,
    "whole": whole.measure,
    "unique": unique.measure,
    "fairness": fairness.measure,
    "claims": claims.measure,
    "reads": reads.measure,
    "idle": idle.measure,
    # The last, for what it leaves behind.
    "hostile": hostile.measure,
}

# Work that is wrong, work that never ends, and a database that went away under it.
FAULTS = (WrongWork, AssertionError, psycopg.Error)


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    machine: Machine | None = None
    figures: list[Figure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def main() -> int:
    options = _read_options()
    effort = SMOKE if options.smoke else Effort()
    load = os.getloadavg()[0]
    try:
        with quiet_children():
            outcome = run(options.only, effort, load=load)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except FAULTS as fault:
        sys.stderr.write(f"WRONG before anything was measured: {fault}\n")
        return 1
    _report(outcome, effort, path=options.json)
    return 1 if outcome.faults else 0


def run(names: list[str], effort: Effort, *, load: float) -> Outcome:
    """Measure each; a fault of one does not keep the others from being measured."""
    outcome = Outcome()
    with running_servers() as servers:
        outcome.machine = look_at_machine(servers, load=load)
        print(show_machine(outcome.machine), flush=True)
        with running_bench(servers, effort) as bench:
            if bench.effort.scale < 1:
                print(f"The machine is slow now, so the counts are {bench.effort.scale:.0%} of the usual.", flush=True)
            for at, name in enumerate(names):
                bench.share_ends_at = effort.share(len(names) - at)
                print(f"measuring {name} …", flush=True)
                _measure(name, bench, outcome)
    return outcome


def _measure(name: str, bench: Bench, outcome: Outcome) -> None:
    try:
        outcome.figures += MEASUREMENTS[name](bench)
    except NotThere as missing:
        outcome.absent.append(f"{name}: {missing} is not there, so there is nothing to measure.")
    except FAULTS as fault:
        outcome.faults.append(f"{name}: {fault}")
        # What is still under way must not be counted by the next one.
        with suppress(*FAULTS):
            bench.site.wait_until_idle()


def _report(outcome: Outcome, effort: Effort, *, path: Path | None) -> None:
    print(f"\n{show_table(outcome.figures, judges=effort.judges)}\n")
    for sentence in outcome.absent:
        print(sentence)
    for sentence in outcome.faults:
        print(f"WRONG {sentence}")
    if not effort.judges:
        print("A smoke run: so little was done that the figures mean nothing.")
    if path is not None and outcome.machine is not None:
        document = to_document(
            outcome.machine, outcome.figures, faults=outcome.faults, absent=outcome.absent, judges=effort.judges
        )
        path.write_text(json.dumps(document, indent=2) + "\n")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_names, default=list(MEASUREMENTS), metavar="NAME,NAME", help=", ".join(MEASUREMENTS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--smoke", action="store_true", help="tiny counts, half a minute, no judgement on speed")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such measurement: {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
