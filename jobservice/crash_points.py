"""Crash points: named places where a test has the process die, as if the power went, to prove that no job is lost.

Everywhere outside tests/chaos no folder is set, and a point is one look at a global. With a folder, a point named X
fires when the file X is in it: the process renames that file into `fired/`, which only one process can, and ends itself
with SIGKILL. The file may hold a number n: then the n-th visit of a process fires, counted while the file is there.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from jobservice.env import ConfigurationError

FIRED = "fired"

# One line per module that has points, in the order of a job's path.
# fmt: off
POINTS = frozenset({
    "idempotency.claimed", "idempotency.kept", "idempotency.committed",
    "accept.sealed", "accept.before_insert", "accept.before_commit", "accept.after_commit",
    "notify.before_send",
    "stage.before_commit", "stage.after_commit",
    "dispatch.surveyed", "dispatch.claimed", "dispatch.before_publish", "dispatch.published",
    "dispatch.before_give_back", "dispatch.given_back",
    "reap.before_return", "reap.returned", "reap.before_commit", "reap.after_commit",
    "chores.acted", "lanes.before_sleep",
    "message.taken",
    "start.before_commit", "start.after_commit", "release.before_commit", "release.after_commit",
    "board.opened", "board.admitted", "board.done", "board.before_settled", "board.before_close",
    "handler.before_run", "handler.after_run",
    "record.sealed", "record.after_lock", "record.before_commit", "record.after_commit",
    "record.ended", "record.requeued",
    "cancel.before_commit", "retry.before_commit", "expire.before_commit",
    "keeper.before_renew", "keeper.renewed", "keeper.before_settle", "keeper.blamed",
    "watchdog.killed", "watchdog.buried",
    "presence.registered",
    "flights.admitted", "flights.renewed", "flights.recorded",
    "http.prepared", "http.before_send", "http.after_response",
    "deliver.claimed", "deliver.before_start", "deliver.started", "deliver.before_send", "deliver.after_answer",
    "deliver.after_lock", "deliver.before_commit", "deliver.recorded", "deliver.reaped",
})
# fmt: on

_folder: Path | None = None
_visits: dict[str, int] = {}


def arm_crash_points(folder: Path | None) -> None:
    """Let the files of this folder choose where the process dies; None, as ever outside tests, disarms every point.

    Raises `ConfigurationError` unless the folder has a folder `fired`, which no folder has by chance.
    """
    global _folder
    if folder is not None and not (folder / FIRED).is_dir():
        raise ConfigurationError(
            f"JOBSERVICE_CRASH_POINTS_DIR is for tests only: it ends processes. Unset it; {folder} has no folder fired."
        )
    _folder = folder and folder.absolute()
    _visits.clear()


def crash_point(name: str) -> None:
    """A place where the process may die. Does nothing unless a test armed it."""
    if _folder is not None:
        _visit(name, _folder)


def _visit(name: str, folder: Path) -> None:
    if name not in POINTS:
        raise LookupError(f"there is no crash point {name!r}")
    try:
        wanted = int((folder / name).read_text() or 1)
    except FileNotFoundError:
        _visits.pop(name, None)
        return
    _visits[name] = _visits.get(name, 0) + 1
    if _visits[name] >= wanted:
        _fire(name, folder)


def _fire(name: str, folder: Path) -> None:
    try:
        (folder / name).rename(folder / FIRED / name)
    except FileNotFoundError:
        # Another process was first: one death for each arming.
        return
    os.kill(os.getpid(), signal.SIGKILL)


# A child counts its own visits, not its parent's.
os.register_at_fork(after_in_child=_visits.clear)
