"""Ports that a test chooses first and some process binds later.

Not those that the kernel hands out: of these another test may be given the very one meanwhile.
"""

from __future__ import annotations

import itertools
import os
import socket

# Below the range of the kernel's own; each of pytest's processes has a part of its own.
_FIRST, _EACH, _PARTS = 21_000, 400, 8
_part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
# Another run of the tests on the same machine begins elsewhere.
_numbers = itertools.count(os.getpid())


def free_port() -> int:
    """A port of the loopback address that nobody has, and that no other caller is given."""
    for number in itertools.islice(_numbers, _EACH):
        port = _FIRST + _part * _EACH + number % _EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
