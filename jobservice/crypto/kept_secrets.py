"""Unwrapped secrets that are kept for a while, so that an outage of whoever unwraps them does not stop the service.

Each is found by what it was unwrapped from only: a wrapped key that is no longer stored finds nothing here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class _Kept:
    secret: bytes = field(repr=False)
    confirmed_at: float  # monotonic seconds


class KeptSecrets:
    """At most `limit`, of which those go first that were confirmed longest ago; none for more than `seconds`."""

    def __init__(self, *, seconds: float, limit: int = LIMIT) -> None:
        self._seconds = seconds
        self._limit = limit
        self._kept: OrderedDict[tuple[bytes, bytes], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, wrapped: bytes, binding: bytes, secret: bytes) -> None:
        """Note that `secret` is what is wrapped so, as of now."""
        if self._seconds <= 0:
            return
        with self._lock:
            self._kept[wrapped, binding] = _Kept(secret, time.monotonic())
            self._kept.move_to_end((wrapped, binding))
            self._drop_old()

    def find(self, wrapped: bytes, binding: bytes, *, within_seconds: float | None = None) -> bytes | None:
        """The secret, if it was confirmed in the last seconds: as many as it may be kept, unless fewer are said."""
        seconds = self._seconds if within_seconds is None else min(within_seconds, self._seconds)
        with self._lock:
            kept = self._kept.get((wrapped, binding))
        return kept.secret if kept is not None and time.monotonic() - kept.confirmed_at < seconds else None

    def has_any(self) -> bool:
        """Whether something is kept that is not too old."""
        with self._lock:
            self._drop_old()
            return bool(self._kept)

    def _drop_old(self) -> None:
        """The oldest come first."""
        now = time.monotonic()
        while self._kept and (
            len(self._kept) > self._limit or now - next(iter(self._kept.values())).confirmed_at >= self._seconds
        ):
            self._kept.popitem(last=False)
