"""A process that forks while its threads use the database."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from django.db import connection, connections

from tests.races.conftest import committed  # noqa: F401 (a fixture)
from tests.stopwatch import Stopwatch
from tests.workers.forks import ForkedChild, forked
from workers import fork_gate
from workers.fork_gate import between_forks, database_thread, drop_inherited_connections

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class _Threaded:
    """A thread in the database, held inside or outside the gate until it is let go."""

    def __init__(self, *, is_inside: bool) -> None:
        self.ready, self.go_on, self.answer = threading.Event(), threading.Event(), 0
        self._is_inside = is_inside
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.ready.wait(60)

    def _run(self) -> None:
        with database_thread():
            with between_forks():
                self._ask()
                self.wrapper: Any = connections["default"]
                if self._is_inside:
                    self._hold()
            if not self._is_inside:
                self._hold()
            self._ask()

    def _ask(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 41 + 1")
            (self.answer,) = cursor.fetchone()

    def _hold(self) -> None:
        self.answer = 0
        self.ready.set()
        assert self.go_on.wait(60)

    def finish(self) -> None:
        self.go_on.set()
        self._thread.join(60)


@pytest.mark.usefixtures("committed")
def test_a_child_closes_its_parents_sockets_and_the_parent_keeps_its_connection() -> None:
    thread = _Threaded(is_inside=False)
    socket = thread.wrapper.connection.pgconn.socket
    inode = os.fstat(socket).st_ino

    def body(child: ForkedChild) -> None:
        drop_inherited_connections()
        child.tell(b"y" if _is_closed(socket, inode) else b"n")
        child.hear()

    with forked(body) as child:
        assert child.hear() == b"y"
    thread.finish()
    assert thread.answer == 42
    assert fork_gate._wrappers == []


def _is_closed(descriptor: int, inode: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino != inode
    except OSError:
        return True


@pytest.mark.usefixtures("committed")
def test_a_fork_waits_for_a_thread_in_the_database_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_gate, "PATIENCE_SECONDS", 0.2)
    thread = _Threaded(is_inside=True)
    with Stopwatch() as watch, forked(_say_when_the_gate_is_free) as child:
        assert watch.seconds >= 0.2
        assert watch.moving_seconds < 5
        assert child.hear() == b"y"
    thread.finish()
    assert thread.answer == 42


def test_the_gate_is_free_again_after_a_fork() -> None:
    with forked(_say_when_the_gate_is_free) as child:
        assert child.hear() == b"y"
    assert fork_gate._gate.acquire(timeout=0.1)
    fork_gate._gate.release()


def _say_when_the_gate_is_free(child: ForkedChild) -> None:
    child.tell(b"y" if fork_gate._gate.acquire(timeout=0.1) else b"n")
    child.hear()
