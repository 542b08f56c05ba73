"""One number that rises with every change of any tenant's keys: how each process learns that what it opened is old.

1. Whoever changes a tenant's keys raises the number in the same transaction.
2. Every process looks at it at most once a second, when it needs a key, before it loads one.
3. Keys that were loaded under another number are loaded again. So a change is known everywhere within a second.
"""

from __future__ import annotations

import math
import time

from django.db import InterfaceError, OperationalError, connection
from django.db.models import F

from tenants.models import Installation

CHECK_SECONDS = 1.0

# The number, and when it was last looked at (monotonic seconds).
_NEVER = (-1, -math.inf)
_seen = _NEVER


def key_stamp() -> int:
    """The number as it was within the last second. Raises what the database raises when it was never seen."""
    global _seen
    stamp, looked_at = _seen
    now = time.monotonic()
    if now - looked_at < CHECK_SECONDS:
        return stamp
    # Of two threads that look at once, the one that read the older number must not win.
    _seen = max(_seen, (_read_stamp(stamp), now))
    return _seen[0]


def note_key_change() -> None:
    """Make every process load keys again. Run in the transaction that changes them."""
    Installation.objects.update(key_changes=F("key_changes") + 1)


def forget_key_stamp() -> None:
    """Look again at the next need."""
    global _seen
    _seen = _NEVER


def _read_stamp(known: int) -> int:
    try:
        return Installation.objects.values_list("key_changes", flat=True).first() or 0
    except (OperationalError, InterfaceError):
        # While the database is away a running job may still open what it holds, until the opened keys are too old.
        if known < 0 or connection.in_atomic_block:
            raise
        connection.close()
        return known
