"""The flag of signal handlers, and the limit of a stop, in processes of their own where they end one."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from tests.stopwatch import Stopwatch
from tests.workers.prepared import ROOT
from workers.stop_flag import StopFlag

pytestmark = pytest.mark.deep


def test_whoever_waits_is_woken_and_whoever_comes_later_does_not_wait() -> None:
    flag = StopFlag()
    assert not flag.wait(0.01)
    woken: list[bool] = []
    waiting = [threading.Thread(target=lambda: woken.append(flag.wait(30))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    flag.set()
    flag.set()
    for thread in waiting:
        thread.join(60)
    assert woken == [True] * 3
    assert flag.is_set()
    assert flag.wait(30)


def test_a_signal_in_the_middle_of_a_wait_does_not_hang_the_thread_that_waits() -> None:
    """An `Event` does, once in some thousand times: its lock is held while the handler asks for it."""
    code = """
import signal
from workers.stop_flag import StopFlag
while True:
    flag = StopFlag()
    signal.signal(signal.SIGALRM, lambda *_: flag.set())
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    while not flag.wait(0.00001):
        pass
    import os
    os.close(flag._reader), os.close(flag._writer)
    print("again", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for _ in range(1500):
            assert process.stdout.readline() == "again\n"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


LIMITED = """
import signal, sys, threading, time
from workers.stop_flag import StopFlag
from workers.stop_limit import StopLimit
flag = StopFlag()
signal.signal(signal.SIGTERM, lambda *_: flag.set())
def rescue():
    print("rescued", flush=True)
    time.sleep(float(sys.argv[1]))
StopLimit(flag, grace_seconds=0.5, rescue=rescue).start()
print("started", flush=True)
while not flag.wait(60):
    pass
if sys.argv[2] == "hangs":
    threading.Event().wait(60)
"""


def end_limited(rescue_seconds: str, what: str) -> tuple[int, str, Stopwatch]:
    """Its exit status, its output and how long it took to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, rescue_seconds, what],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        with Stopwatch() as watch:
            process.send_signal(signal.SIGTERM)
            printed, _ = process.communicate(timeout=60)
        return process.returncode, printed, watch
    finally:
        process.kill()


def test_a_stop_that_hangs_is_rescued_and_ends() -> None:
    status, printed, watch = end_limited("0", "hangs")
    assert (status, printed.splitlines()[-1]) == (1, "rescued")
    assert watch.seconds > 1.9
    assert watch.moving_seconds < 5


def test_a_rescue_that_hangs_too_does_not_keep_the_process() -> None:
    status, printed, watch = end_limited("60", "hangs")
    assert (status, printed.splitlines()[-1]) == (1, "rescued")
    assert watch.seconds > 4.4
    assert watch.moving_seconds < 10


def test_a_stop_in_time_is_left_alone() -> None:
    status, printed, _ = end_limited("0", "stops")
    assert (status, printed) == (0, "")
