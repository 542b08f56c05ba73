"""Tells whoever started this process that it can do its work now, in systemd's way (sd_notify).

`manage.py up` listens, and so does a systemd unit of `Type=notify`. Started by anybody else, nothing is said.
"""

from __future__ import annotations

import socket
import threading

from jobservice.logs import log_event

MESSAGE = b"READY=1"


class Readiness:
    """Says it once, when every awaited part has been noted. Any thread may note."""

    def __init__(self, address: str, *parts: str) -> None:
        """`address` is that of `NOTIFY_SOCKET`; empty when nobody listens."""
        self._address = address
        self._missing = set(parts)
        self._is_said = False
        self._lock = threading.Lock()

    def note(self, part: str) -> None:
        with self._lock:
            self._missing.discard(part)
            is_now = not self._missing and not self._is_said
            self._is_said = self._is_said or is_now
        if is_now:
            say_ready(self._address)


def say_ready(address: str) -> None:
    """Send the word. Who cannot be reached is none of the work's concern."""
    if not address:
        return
    # "@" stands for the NUL byte with which Linux's abstract addresses begin.
    name = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.settimeout(1.0)
            sender.sendto(MESSAGE, name)
        except OSError as error:
            log_event("ready_unheard", level="warning", error_class=type(error).__name__)
