"""How the supervisor runs a command: as whom, and tied to its own life. The other half is the script `launched.py`."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.supervisor import launched


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run as. `reads_everywhere`: keeps CAP_DAC_READ_SEARCH, to pass folders closed to it."""

    uid: int
    gid: int
    reads_everywhere: bool = False


def choose_account() -> Account | None:
    """`nobody` when this is root, which PostgreSQL refuses to run as; None for a plain user, who stays the same."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
        return Account(uid=nobody.pw_uid, gid=nobody.pw_gid, reads_everywhere=_may_read_everywhere())
    except KeyError:
        return Account(uid=65534, gid=65534, reads_everywhere=_may_read_everywhere())


def wrap_command(
    command: Sequence[str], *, death_signal: int, folder: Path | None = None, account: Account | None = None
) -> list[str]:
    """The argv that runs `command` so that the kernel sends it `death_signal` when the calling thread ends.

    It changes to `folder` (unchanged when None) as the account, whose right to enter it counts.
    """
    who = f"{account.uid}:{account.gid}:{int(account.reads_everywhere)}" if account else ""
    order = [str(os.getpid()), str(int(death_signal)), who, str(folder or "")]
    return [sys.executable, "-I", "-S", launched.__file__, *order, *command]


def _may_read_everywhere() -> bool:
    """Whether root has the capability to pass on: containers often take it away."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return bool(int(line.split()[1], 16) >> launched.CAP_DAC_READ_SEARCH & 1)
    return False
