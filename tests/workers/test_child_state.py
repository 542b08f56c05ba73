"""What a handler changes in its process is put back before the next job."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.child_state import ChildState


@pytest.fixture
def state() -> Iterator[ChildState]:
    taken = ChildState.take()
    yield taken
    taken.restore()


@pytest.mark.usefixtures("state")
def test_all_that_a_handler_changed_is_put_back(tmp_path: Path) -> None:
    before = ChildState.take()
    os.chdir(tmp_path)
    os.environ["LEFT_BEHIND"] = "1"
    os.environ.pop("PATH")
    os.umask(0)
    sys.path.insert(0, "/nowhere")
    socket.setdefaulttimeout(3)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    assert ChildState.take() != before
    before.restore()
    assert ChildState.take() == before


def test_an_alarm_that_a_handler_set_does_not_ring_in_the_next_job(state: ChildState) -> None:
    signal.setitimer(signal.ITIMER_REAL, 3600)
    state.restore()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_folder_that_is_gone_hurts_no_job(tmp_path: Path) -> None:
    original = Path.cwd()
    folder = tmp_path / "work"
    folder.mkdir()
    os.chdir(folder)
    state = ChildState.take()
    os.chdir(original)
    folder.rmdir()
    state.restore()
    assert Path.cwd() == original
