"""SIGHUP to `manage.py up`: each program's successor works before the old process is asked to stop."""

from __future__ import annotations

import http.client
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.ready import say_ready
from tests.ports import free_port
from tests.workers.supervisor.running import ROOT, SITE, RunningUp, await_end, clean_environment
from workers.supervisor.ready_socket import ReadySocket

PROGRAMS = ("web", "dispatcher", "egress")
READY = r"up +\| {}: the successor is ready, the old process finishes what it has"
DONE = r"up +\| rolling restart done in \d+ s"


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "var"
    with RunningUp(folder) as once:
        once.await_ready()
        once.process.send_signal(signal.SIGTERM)
        assert once.finish() == 0
    return folder


@pytest.fixture
def prepared(first_start: Path, tmp_path: Path) -> Path:
    """A copy of a data folder that has been started before: the next start takes a second less."""
    subprocess.run(["cp", "-a", first_start, tmp_path / "var"], check=True)
    return tmp_path / "var"


@pytest.fixture(scope="module")
def started(first_start: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """One run for those tests that leave it whole."""
    folder = tmp_path_factory.mktemp("up")
    subprocess.run(["cp", "-a", first_start, folder], check=True)
    with RunningUp(folder / "var") as up:
        yield up.await_ready()


@pytest.fixture
def up(started: RunningUp) -> Iterator[RunningUp]:
    yield started
    for path in (*started.data_dir.glob("*.release"), started.data_dir / "let-go"):
        path.unlink(missing_ok=True)


def release(up: RunningUp, name: str, behaviour: str) -> None:
    """From its next start on the program behaves like this."""
    (up.data_dir / f"{name}.release").write_text(behaviour)


def web_pid(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return int(connection.getresponse().read())
    finally:
        connection.close()


def steps(up: RunningUp, since: int) -> list[str]:
    """Who printed what matters of a restart, in the order of the lines."""
    return [line for line in up.lines[since:] if "the successor" in line or "got TERM" in line]


def test_each_successor_is_ready_before_its_predecessor_is_asked_to_stop(up: RunningUp) -> None:
    web, old = web_pid(up.port), [*up.pids_of("dispatcher"), *up.pids_of("egress")]
    seen = up.restart()
    up.await_line(DONE, since=seen)
    found = steps(up, seen)
    assert len(found) == 2 * len(PROGRAMS)
    for name, said, stopped in zip(PROGRAMS, found[::2], found[1::2], strict=True):
        assert said.startswith("up ")
        assert f"{name}: the successor is ready" in said
        assert stopped.endswith(f"{name} got TERM")
    assert await_end([web, *old]) == []
    assert web_pid(up.port) != web
    assert set(up.pids_of("dispatcher")).isdisjoint(old)


def test_no_connection_is_refused_while_the_web_is_replaced_or_even_killed(up: RunningUp) -> None:
    answered: set[int] = set()
    is_over = threading.Event()
    faults: list[Exception] = []

    def ask() -> None:
        while not is_over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", up.port), timeout=30):
                    pass
            except OSError as error:
                faults.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    answered.add(web_pid(up.port))
    up.await_line(DONE, since=up.restart())
    answered.add(web_pid(up.port))
    os.kill(web_pid(up.port), signal.SIGKILL)
    # It waits in the port's queue for the next process.
    answered.add(web_pid(up.port))
    is_over.set()
    asking.join(30)
    assert faults == []
    assert len(answered) == 3


def test_a_successor_that_ends_changes_nothing(up: RunningUp) -> None:
    release(up, "dispatcher", "fails-at-once")
    assert_nothing_changes(up, r"ended \(exit status 3\)")


def test_a_successor_that_does_not_get_ready_changes_nothing(prepared: Path) -> None:
    # Enough for those that do get ready, however slow the machine is.
    with RunningUp(prepared, READY_SECONDS="15") as up:
        up.await_ready()
        release(up, "dispatcher", "never-ready")
        assert_nothing_changes(up, "was not ready within 15 s and is stopped")


def assert_nothing_changes(up: RunningUp, words: str) -> None:
    """Of a restart whose second program has no successor; the next try is with a release that works."""
    dispatcher, egress = up.pids_of("dispatcher"), up.pids_of("egress")
    seen = up.restart()
    up.await_line(rf"up +\| dispatcher: the successor {words}", since=seen)
    up.await_line("the rolling restart ends at dispatcher, whose old process goes on", since=seen)
    assert up.pids_of("egress") == egress
    assert await_end([dispatcher[0]], seconds=0.5) == [dispatcher[0]]
    release(up, "dispatcher", "well-behaved")
    up.await_line(DONE, since=up.restart())
    assert await_end(dispatcher) == []


def test_a_failing_preparation_restarts_nothing(up: RunningUp) -> None:
    before = web_pid(up.port)
    release(up, "prepare", "fails")
    seen = up.restart()
    up.await_line(r"nothing was restarted: `manage.py prepare` failed; its lines above say why", since=seen)
    assert web_pid(up.port) == before
    assert steps(up, seen) == []


def test_hangups_during_a_restart_are_one_more_restart(up: RunningUp) -> None:
    release(up, "dispatcher", "held")
    seen = up.restart()
    up.await_line(READY.format("web"), since=seen)
    for _ in range(3):
        up.restart()
        time.sleep(0.1)
    # Not before: so all three came during the first restart.
    (up.data_dir / "let-go").touch()
    up.await_lines(DONE, 2, since=seen)
    time.sleep(1)
    assert len([line for line in up.lines[seen:] if "rolling restart of" in line]) == 2


def test_a_stop_in_the_middle_of_a_restart_stops_everything_in_order(prepared: Path) -> None:
    with RunningUp(prepared) as up:
        up.await_ready()
        release(up, "egress", "never-ready")
        seen, old = up.restart(), up.pids_of("egress")
        up.await_line(READY.format("dispatcher"), since=seen)
        up.await_line(r"\| egress pids", since=seen)
        up.process.send_signal(signal.SIGTERM)
        assert up.finish() == 0
        stops = [line.split()[0] for line in up.lines[seen:] if "got TERM" in line]
        assert stops == ["web", "dispatcher", "web", "dispatcher", "egress", "egress"]
        assert await_end([*old, *up.pids_of("egress")]) == []
        assert "the rolling restart was not finished" in "\n".join(up.lines[seen:])


def test_an_old_process_that_does_not_stop_is_killed_after_its_grace(prepared: Path) -> None:
    with RunningUp(prepared, "egress=stubborn", JOBSERVICE_STOP_GRACE_SECONDS="0") as up:
        up.await_ready()
        old = up.pids_of("egress")
        release(up, "egress", "well-behaved")
        seen = up.restart()
        up.await_line("egress did not stop within 5 s and is killed", since=seen)
        up.await_line(DONE, since=seen)
        assert await_end(old) == []


@pytest.mark.parametrize("is_under_nohup", [False, True], ids=["plainly", "under nohup"])
def test_a_closed_terminal_stops_it_unless_it_was_told_to_outlive_that(prepared: Path, is_under_nohup: bool) -> None:
    port = free_port()
    terminal, end = pty.openpty()
    log = prepared.parent / "up.log"
    # Whoever runs the tests may be under nohup, too.
    way = ["env", "--default-signal=HUP", *(["nohup"] if is_under_nohup else [])]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *way, sys.executable, str(SITE / "up.py")],
            env=clean_environment(JOBSERVICE_DATA_DIR=str(prepared), PORT=str(port)),
            stdin=end,
            stdout=output,
            stderr=output,
            cwd=ROOT,
        )
    os.close(end)
    try:
        deadline = time.monotonic() + 60
        while b"jobservice is ready at" not in log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.close(terminal)
        if is_under_nohup:
            time.sleep(1)
            assert process.poll() is None
            assert web_pid(port)
            os.kill(int((prepared / "up.lock").read_text().splitlines()[0]), signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert b"rolling restart" not in log.read_bytes()


def test_only_a_process_of_the_group_is_believed_to_be_ready() -> None:
    listening = ReadySocket()
    say_ready(listening.address)
    assert not listening.hears(os.getpgid(0) + 1)
    say_ready(listening.address)
    assert listening.hears(os.getpgid(0))
    assert not listening.hears(os.getpgid(0))
    listening.close()


def test_a_word_that_nobody_hears_is_no_fault() -> None:
    say_ready("")
    say_ready("@nobody-listens-here")
    say_ready("/no/such/socket")
