"""Room for slow hashes of passwords: few at once in each process, so that strangers who log in do not stop the API.

A hash takes a tenth of a second of one core and 16 MiB. `AT_ONCE` are computed at the same time, as many more may wait
for `WAIT_SECONDS`, and all others are told at once to come again: whoever waits holds one of the process's threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobservice.errors import Unavailable

AT_ONCE = 2
WAIT_SECONDS = 1.0
_room = threading.BoundedSemaphore(2 * AT_ONCE)
_slots = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def hashing_slot() -> Iterator[None]:
    """The right to compute one hash. Not in a transaction: there may be a wait. Raises `Unavailable`."""
    if not _room.acquire(blocking=False):
        raise _busy()
    try:
        if not _slots.acquire(timeout=WAIT_SECONDS):
            raise _busy()
        try:
            yield
        finally:
            _slots.release()
    finally:
        _room.release()


def _busy() -> Unavailable:
    return Unavailable("The service is busy with other logins; try again in a moment.")
