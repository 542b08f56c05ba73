"""Heeds an operator's wish for the health checks: `manage.py doctor --keep` in a process of its own, one at a time.

Not here: the checks read as roles, and with keys, that the dispatcher has not, and no round of dispatching waits for
them. The wish stays until the command has kept what it found; what comes to nothing stands on the operators' page and
in the log (`examination_failed`). So it is where this machine knows no addresses but the dispatcher's: an operator
runs the command where they are known.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from jobservice.env import BASE_DIR
from jobservice.logs import log_event
from tenants.operators import fail_examination, take_examination
from workers.supervisor.launch import wrap_command

# Each statement of the checks is cut after five seconds; what lasts longer as a whole hangs.
MOST_SECONDS = 120.0
# So long after it was killed at the latest, its dispatcher has said so, or is dead.
_SILENT_SECONDS = 60.0
COMMAND = (sys.executable, str(BASE_DIR / "manage.py"), "doctor", "--keep")
# The dispatcher's own; the command runs as the database's owner, and says nothing to whoever started this process.
_DROPPED = ("JOBSERVICE_PROCESS", "NOTIFY_SOCKET", "JOBSERVICE_LISTEN_FD")


@dataclass(slots=True)
class Examination:
    """A chore. Between its turns it holds the process that carries out the checks, if one does."""

    command: Sequence[str] = COMMAND
    most_seconds: float = MOST_SECONDS
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _begun_at: float = field(default=0.0, init=False)
    _taken_at: datetime | None = field(default=None, init=False)

    def act(self) -> None:
        """Look after the process that runs; else begin one, if somebody asked."""
        if self._process is not None:
            self._look_after(self._process)
            return
        self._taken_at = take_examination(forgotten_seconds=self.most_seconds + _SILENT_SECONDS)
        if self._taken_at is not None:
            self._begin(self._taken_at)

    def _begin(self, taken_at: datetime) -> None:
        self._begun_at = time.monotonic()
        try:
            self._process = subprocess.Popen(
                # It dies with the dispatcher.
                wrap_command(self.command, death_signal=signal.SIGKILL),
                env=_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:  # no memory, no room for a process: the dispatcher goes on
            log_event("examination_failed", level="warning", error_class=type(error).__name__)
            fail_examination(taken_at, "not-begun")

    def _look_after(self, process: subprocess.Popen[bytes]) -> None:
        status, failure = process.poll(), "cannot-look"
        if status is None and time.monotonic() - self._begun_at > self.most_seconds:
            process.kill()
            status, failure = process.wait(), "too-long"
        if status is None:
            return
        self._process = None
        # 1 is an answer too: something is wrong, and the page says what. But who crashes ends so as well: it was
        # carried out when its wish is gone.
        is_left = self._taken_at is not None and fail_examination(self._taken_at, failure)
        if is_left or status not in (0, 1):
            log_event("examination_failed", level="warning", exit_code=status)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in variables.items() if name not in _DROPPED}
    return {**kept, "JOBSERVICE_PROCESS": "owner", "JOBSERVICE_DATA_DIR": str(settings.ENVIRONMENT.data_dir)}
