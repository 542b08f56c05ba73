"""Celery alone: a task that does nothing. As a program it sends messages and prints how long that took.

Each run of the task marks its own byte of a shared file, which costs nothing and shows every lost or doubled message.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from functools import lru_cache
from pathlib import Path

from tests.benchmarks.rivals.celery_app import make_app

app = make_app("raw")


@app.task(name="bench.nothing")
def do_nothing(number: int) -> None:
    marks = _marks()
    marks[number] += 1


@lru_cache(maxsize=1)
def _marks() -> mmap.mmap:
    with Path(os.environ["BENCH_MARKS"]).open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def main() -> None:
    first, count = json.load(sys.stdin)
    do_nothing.delay(first)  # opens the connection
    begun = time.monotonic()
    for number in range(first + 1, first + count):
        do_nothing.delay(number)
    json.dump({"seconds": time.monotonic() - begun}, sys.stdout)


if __name__ == "__main__":
    main()
