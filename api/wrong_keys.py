"""A bound on the lookups that wrong keys may cost: per client address, in each process.

Malformed keys cost no lookup and do not count. A key that was right in this process a moment ago is asked about in
any case, so that nobody locks a neighbour behind the same address out.
"""

from __future__ import annotations

import hashlib
import threading
import time
from ipaddress import IPv6Address, ip_network

from api.problems import ApiProblem
from jobservice.client_address import Address

BURST, PER_SECOND = 100, 10
_KNOWN_SECONDS = 300.0
_MAX_ENTRIES = 10_000
# Where no address can be told, all such clients share one.
_NOWHERE = "nowhere"


class WrongKeys:
    """Wrong keys of late by address, and right ones by hash. `what` they are is told to who sends too many."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._wrong: dict[str, tuple[float, float]] = {}
        self._right: dict[bytes, float] = {}

    def check(self, address: Address | None, text: str) -> None:
        """Pass when the key may be looked up. Raises `ApiProblem` (`rate-limited`)."""
        now = time.monotonic()
        if self._level(_place(address), now) >= BURST and now > self._right.get(_hash(text), -1.0):
            detail = f"Too many wrong {self._what} came from this address."
            raise ApiProblem("rate-limited", detail, headers={"Retry-After": "1"})

    def note_wrong(self, address: Address | None) -> None:
        """A key from this address was looked up in vain."""
        now, place = time.monotonic(), _place(address)
        with self._lock:
            self._wrong[place] = (self._level(place, now) + 1, now)
            if len(self._wrong) > _MAX_ENTRIES:
                self._wrong.clear()

    def note_right(self, text: str) -> None:
        """The key is one of ours."""
        with self._lock:
            if len(self._right) > _MAX_ENTRIES:
                self._right.clear()
            self._right[_hash(text)] = time.monotonic() + _KNOWN_SECONDS

    def forget(self) -> None:
        """Start anew."""
        with self._lock:
            self._wrong.clear()
            self._right.clear()

    def _level(self, place: str, now: float) -> float:
        level, since = self._wrong.get(place, (0.0, now))
        return max(0.0, level - (now - since) * PER_SECOND)


wrong_keys = WrongKeys("API keys")
wrong_tokens = WrongKeys("completion tokens")


def _place(address: Address | None) -> str:
    """Who has one IPv6 address has its /64."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return _NOWHERE if address is None else str(address)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
