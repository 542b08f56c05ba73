"""The guard ends what a killed supervisor leaves, and nothing when the supervisor says goodbye."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.supervisor.running import PATIENCE_SECONDS, await_end, await_process_with, is_running
from workers.supervisor.guard import Guard, listen


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def runtime_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "jobservice-x"
    folder.mkdir()
    return folder


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process group of its own that ignores everything it can."""
    ignore = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", ignore], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def leave_without_goodbye(guard: Guard) -> None:
    """What the kernel does to the pipe of a supervisor that is killed."""
    guard._close_pipe()
    guard._process.wait()


def test_a_closed_pipe_ends_every_group_and_the_sockets(
    lock: int, runtime_folder: Path, child: subprocess.Popen[bytes]
) -> None:
    guard = Guard(runtime_folder=str(runtime_folder), lock_descriptor=lock)
    guard.add(child.pid, first_signal=signal.SIGKILL)
    leave_without_goodbye(guard)
    assert child.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert not runtime_folder.exists()


def test_a_group_that_has_ended_and_a_goodbye_leave_everything_alone(
    lock: int, runtime_folder: Path, child: subprocess.Popen[bytes]
) -> None:
    guard = Guard(runtime_folder=str(runtime_folder), lock_descriptor=lock)
    guard.add(child.pid, first_signal=signal.SIGKILL)
    guard.dismiss()
    assert is_running(child.pid)
    assert runtime_folder.exists()


def test_signals_do_not_end_the_guard_and_a_killed_one_is_replaced(
    lock: int, runtime_folder: Path, child: subprocess.Popen[bytes]
) -> None:
    guard = Guard(runtime_folder=str(runtime_folder), lock_descriptor=lock)
    guard.add(child.pid, first_signal=signal.SIGKILL)
    pid = await_process_with(str(runtime_folder))
    os.kill(pid, signal.SIGKILL)
    assert await_end([pid]) == []
    guard.revive()
    leave_without_goodbye(guard)
    assert child.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_half_a_line_is_no_group() -> None:
    assert listen(["+12 9\n", "+13 3\n", "-12\n", "+14"]) == {13: 3}
    assert listen(["+12 9\n", "bye\n"]) is None
