"""A tiny process that outlives a killed supervisor just long enough to end what it had started.

It holds the read end of a pipe (its stdin). Lines: `+PID SIGNAL` a process group and the signal that ends it first,
`-PID` it has ended, `bye` all is well. A pipe that closes without `bye` means that the supervisor was killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

PATIENCE_SECONDS = 3.0
POLL_SECONDS = 0.02


class Guard:
    """The supervisor's side: starts the guard process, tells it about each group, replaces it when it dies."""

    def __init__(self, *, runtime_folder: str, lock_descriptor: int) -> None:
        """The guard keeps `lock_descriptor` open until it is done, so that the next start waits for it."""
        self._runtime_folder = runtime_folder
        self._lock_descriptor = lock_descriptor
        self._groups: dict[int, int] = {}
        self._process = self._start()

    def add(self, group: int, *, first_signal: int) -> None:
        self._groups[group] = first_signal
        self._tell(f"+{group} {first_signal}\n")

    def remove(self, group: int) -> None:
        self._groups.pop(group, None)
        self._tell(f"-{group}\n")

    def revive(self) -> None:
        """Replace a guard that was killed; the new one learns every group."""
        if self._process.poll() is None:
            return
        self._close_pipe()
        self._process = self._start()
        for group, first_signal in self._groups.items():
            self._tell(f"+{group} {first_signal}\n")

    def dismiss(self) -> None:
        """Let the guard go: nothing is left to end."""
        self._tell("bye\n")
        self._close_pipe()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self._runtime_folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[self._lock_descriptor],
            start_new_session=True,
            bufsize=0,
        )

    def _tell(self, line: str) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(line.encode())
        except BrokenPipeError:  # it was killed: `revive` tells the next one
            return

    def _close_pipe(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def main(runtime_folder: str) -> None:
    """The guard process: listen until the pipe closes, then end what is left, unless all is well."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = listen(sys.stdin)
    if groups is None:
        return
    end_groups(groups)
    # `make_runtime_folder` gave it this name; nothing else is ever removed.
    if os.path.basename(runtime_folder).startswith("jobservice-"):  # noqa: PTH119 - pathlib doubles the start-up time
        shutil.rmtree(runtime_folder, ignore_errors=True)


def listen(lines: Iterable[str]) -> dict[int, int] | None:
    """The groups (pid → first signal) alive when the pipe closed; None when the supervisor said goodbye."""
    groups: dict[int, int] = {}
    for line in lines:
        if line == "bye\n":
            return None
        if line.startswith("+") and line.endswith("\n"):
            group, first_signal = line[1:].split()
            groups[int(group)] = int(first_signal)
        elif line.startswith("-") and line.endswith("\n"):
            groups.pop(int(line[1:]), None)
    return groups


def end_groups(groups: dict[int, int]) -> None:
    """Send each group its first signal, and SIGKILL to those that remain after the patience."""
    for group, first_signal in groups.items():
        _signal_group(group, first_signal)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while find_live_groups() & groups.keys() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group in groups:
        _signal_group(group, signal.SIGKILL)


def find_live_groups() -> set[int]:
    """Every process group with a member that runs; zombies do not count, for their new parent may reap them late."""
    groups = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib doubles the start-up time
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                    state, _parent, group = file.read().rpartition(")")[2].split()[:3]
            except OSError:  # it ended meanwhile
                continue
            if state not in "ZX":
                groups.add(int(group))
    return groups


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    main(sys.argv[1])
