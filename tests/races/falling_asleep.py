"""A dispatcher that puts lanes to sleep as fast as it can, while jobs are made available right into the gap."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from jobservice.jobs import lanes
from jobservice.jobs.claims import claim_jobs
from jobservice.jobs.lanes import deactivate_idle_lanes
from jobservice.statements import run_statement

# In milliseconds, one after the other: how long a lane lies between the first look and its sleep.
GAPS = (0, 1, 2, 3, 4, 6)


class FallingAsleep:
    """`put_to_sleep` on one thread, `meanwhile` with the calls that make a job available each on another."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._over, self._at_the_brink, self._gaps = threading.Event(), threading.Event(), itertools.cycle(GAPS)
        patch.setattr(lanes, "IDLE_SECONDS", -1.0)
        patch.setattr(lanes, "run_statement", self._run_slowly)

    def put_to_sleep(self) -> int:
        """Claim all there is and put its lanes to sleep, until the calls are done; how often one fell asleep."""
        count = 0
        while not self._over.is_set():
            claim_jobs("handlers", limit=100, lease_seconds=30)
            with transaction.atomic():
                count += deactivate_idle_lanes()
        return count

    def meanwhile(self, calls: Iterable[Callable[[], Any]]) -> int:
        """Make the calls, and each fourth one right when a lane is about to sleep; their number.

        Without the wait it is the machine's load that says whether a lane is ever seen empty.
        """
        made = 0
        try:
            for number, call in enumerate(calls):
                if number % 4 == 3:
                    assert self._at_the_brink.wait(timeout=30)
                    self._at_the_brink.clear()
                call()
                made += 1
        finally:
            self._over.set()
        return made

    def _run_slowly(self, path: Path, parameters: Any) -> Any:
        if path.stem == "deactivate_lanes":
            self._at_the_brink.set()
            time.sleep(next(self._gaps) / 1000)
        return run_statement(path, parameters)
