"""A server of a test's own, answering in a thread for as long as the block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from typing import TypeVar

S = TypeVar("S", bound=BaseServer)


@contextmanager
def serving(server: S, *, before_end: Callable[[], None] = lambda: None) -> Iterator[S]:
    """The server, listening; `before_end` lets go whoever it holds."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        before_end()
        server.shutdown()
        thread.join()
        server.server_close()
