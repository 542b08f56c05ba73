"""Processes of a measurement: started so that none outlives the run, asked in JSON, ended in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.faults import CannotMeasure
from tests.benchmarks.servers import PYTHON, ROOT, python_environment, stop_child
from workers.supervisor.launch import wrap_command

LONGEST_SECONDS = 300.0


def ask(module: str, question: Any, **environment: str) -> Any:
    """Run a module once: the question goes in as JSON, the answer comes out as JSON."""
    answer = subprocess.run(
        wrap_command([PYTHON, "-m", module], death_signal=signal.SIGKILL),
        input=json.dumps(question),
        cwd=ROOT,
        env=python_environment(**environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if answer.returncode:
        raise CannotMeasure(f"{module} ended with {answer.returncode}: {answer.stderr.strip()[-1000:]}")
    return json.loads(answer.stdout)


@contextmanager
def running_child(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process in a group of its own until the end of the block. What it prints goes to our standard error."""
    child = subprocess.Popen(
        wrap_command([PYTHON, *arguments], death_signal=signal.SIGKILL),
        cwd=ROOT,
        env=python_environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        stop_child(child)


@contextmanager
def held_group(pid: int) -> Iterator[None]:
    """The child and its own children stand still until the end of the block."""
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)
