"""Whether this process still has the terminal it was started from: SIGHUP means both its end and a wish to restart."""

from __future__ import annotations

import os


def has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
