"""What every child runs first: become another user if asked, die with the parent, then exec the real command.

A script and not a `preexec_fn`: the supervisor has threads, and Python code between fork and exec can deadlock there.
Its imports are few because each child waits for them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_READ_SEARCH = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522
# Exit codes of this script itself; the command never ran.
PARENT_IS_GONE = 124
UNREACHABLE_FOLDER = 125
UNUSABLE_COMMAND = 126
REFUSED_USER = 127


def main(arguments: list[str]) -> int:
    """Carry out `PARENT SIGNAL [UID:GID:KEEP] [FOLDER] COMMAND…` and become the command; returns only on failure."""
    parent, death_signal, who, folder, *command = arguments
    try:
        if who:
            uid, gid, keeps = map(int, who.split(":"))
            become_user(uid, gid, reads_everywhere=bool(keeps))
    except OSError as error:
        return _complain(f"cannot become user {who}: {error.strerror}", REFUSED_USER)
    # Only now: a change of user clears it.
    _prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):  # it died before the line above
        return PARENT_IS_GONE
    try:
        if folder:
            os.chdir(folder)
    except OSError as error:
        return _complain(f"cannot enter {folder}: {error.strerror}", UNREACHABLE_FOLDER)
    # Python ignores these two; a program expects their defaults.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606  # nosec B606
    except OSError as error:
        return _complain(f"cannot run {command[0]}: {error.strerror}", UNUSABLE_COMMAND)


def become_user(uid: int, gid: int, *, reads_everywhere: bool) -> None:
    """Give up root for good, keeping at most the one capability. Raises OSError where the kernel refuses."""
    if reads_everywhere:
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if reads_everywhere:
        _keep_only(1 << CAP_DAC_READ_SEARCH)
        # Ambient: the only set that survives the exec of a program without file capabilities.
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH)


def _keep_only(capabilities: int) -> None:
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    # Two triples of (effective, permitted, inheritable): capabilities 0-31, then 32-63.
    sets = (ctypes.c_uint32 * 6)(capabilities, capabilities, capabilities, 0, 0, 0)
    _check(ctypes.CDLL(None, use_errno=True).capset(header, sets))


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _check(ctypes.CDLL(None, use_errno=True).prctl(option, *padded))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _complain(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
