"""The users a test can run as: whoever runs the tests and, when that is root, a plain user too."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from workers.supervisor.launch import Account

NOBODY = pwd.getpwnam("nobody")
# It may pass closed folders only because the interpreter itself may be in one.
PLAIN = Account(uid=NOBODY.pw_uid, gid=NOBODY.pw_gid, reads_everywhere=True)
ACCOUNTS = {"current": None, **({"plain": PLAIN} if os.geteuid() == 0 else {})}


def make_owned_folder(path: Path, account: Account | None, *, mode: int = 0o700) -> Path:
    """A folder that belongs to the account, or to whoever runs the tests."""
    path.mkdir(mode=mode)
    if account:
        os.chown(path, account.uid, account.gid)
    return path
