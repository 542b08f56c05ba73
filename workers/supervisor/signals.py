"""Requests to stop or restart, and ended children, as wake-ups of the one loop. The handlers only set fields."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any

from workers.supervisor.terminal import has_terminal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# One Ctrl-C can arrive twice: from the terminal, and from a program in between.
ECHO_SECONDS = 0.3


class Signals:
    """While entered (in the main thread), INT and TERM are counted in `stop_requests` and SIGCHLD wakes `wait`.

    HUP asks for a restart, and is remembered once however often it comes. When it tells of the terminal's end it counts
    as a request to stop, or as nothing under `nohup`.
    `is_urgent`: somebody pressed Ctrl-C after the stop was requested. Once a stop was requested, leaving the block
    leaves the three ignored, so that an impatient key press cannot interrupt the last cleaning up.
    """

    def __init__(self) -> None:
        self.stop_requests = 0
        self.is_urgent = False
        self._is_hung_up = False
        self._is_restart_wanted = False
        self._had_terminal = False
        self._first_request_at = 0.0
        self._before: dict[int, Any] = {}
        self._previous_wakeup = -1
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Signals:
        self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._had_terminal = has_terminal()
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._count)
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._note_hangup)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _wake)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            is_over = self.stop_requests > 0 and number != signal.SIGCHLD
            signal.signal(number, signal.SIG_IGN if is_over else handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Return when any signal arrives, at the latest after `seconds`; at once when one arrived before."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if ready:
            os.read(self._reader, 4096)
        if self._is_hung_up:
            self._is_hung_up = False
            self._judge_hangup()

    def take_restart_request(self) -> bool:
        """Whether a restart was asked for since the last call."""
        is_wanted, self._is_restart_wanted = self._is_restart_wanted, False
        return is_wanted

    def _judge_hangup(self) -> None:
        if not self._had_terminal or has_terminal():
            self._is_restart_wanted = True
            return
        self._had_terminal = False
        if self._before[signal.SIGHUP] != signal.SIG_IGN:
            self._count(signal.SIGHUP, None)

    def _count(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.stop_requests == 0:
            self._first_request_at = now
        elif number == signal.SIGINT and now - self._first_request_at > ECHO_SECONDS:
            self.is_urgent = True
        self.stop_requests += 1

    def _note_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._is_hung_up = True


def _wake(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor does the work; a handler must exist for the signal not to be discarded."""
