"""A small proxy between processes and a server: it can cut connections, freeze them, hold replies, swallow them.

Faults are asked for from outside (`cut`, `freeze`, `delay`, `swallow_commit`); by itself it only passes bytes on. It
understands one thing of one protocol: that a client's bytes ask PostgreSQL for a COMMIT.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

SOCKET_NAME = ".s.PGSQL.5432"
CHUNK_BYTES = 65536
COMMIT_SECONDS = 0.2
Pair = tuple[socket.socket, socket.socket]


class Proxy:
    """Takes connections from a bound `listener`; `connect` makes one to the server for each, or raises `OSError`."""

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._connect = connect
        self._lock = threading.Lock()
        self._pairs: list[Pair] = []
        self._frozen: list[Pair] = []
        self._held_until = 0.0
        self._is_over = threading.Event()
        self._commits_to_swallow = 0
        self.commits_swallowed = 0
        # How many connections there have been.
        self.accepted = 0
        self._listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def folder(self) -> Path:
        """Of a listener on a unix socket."""
        return Path(self._listener.getsockname()).parent

    @property
    def port(self) -> int:
        """Of a listener on TCP."""
        return int(self._listener.getsockname()[1])

    def cut(self, share: float, *, choose: Callable[[], float]) -> int:
        """Cut this share of the connections, with whatever is under way on them. The number cut."""
        with self._lock:
            chosen = [pair for pair in self._pairs if choose() < share]
        for pair in chosen:
            self._close(pair)
        return len(chosen)

    def freeze(self) -> int:
        """Pass nothing on any more on the connections of now, and do not close them. The number frozen."""
        with self._lock:
            self._frozen = list(self._pairs)
        return len(self._frozen)

    def delay(self, seconds: float) -> None:
        """Pass nothing on for so long."""
        self._held_until = time.monotonic() + seconds

    def swallow_commit(self, count: int = 1) -> None:
        """Pass the next COMMITs on, and cut their connections without the reply: did it happen? Nobody knows."""
        with self._lock:
            self._commits_to_swallow += count

    def stop(self) -> None:
        self._is_over.set()
        self._listener.close()
        for pair in list(self._pairs):
            self._close(pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                pair = (client, self._connect())
            except OSError:
                # Away: the client hears it as it would from the server itself.
                client.close()
                continue
            with self._lock:
                self._pairs.append(pair)
                self.accepted += 1
            threading.Thread(target=self._to_server, args=[pair], daemon=True).start()
            threading.Thread(target=self._to_client, args=[pair], daemon=True).start()

    def _to_server(self, pair: Pair) -> None:
        client, server = pair
        with suppress(OSError):
            while content := client.recv(CHUNK_BYTES):
                self._wait(pair)
                if b"COMMIT\0" in content and self._takes_commit():
                    # In this order, so that no reply can slip through; the server does it all the same.
                    client.shutdown(socket.SHUT_RDWR)
                    server.sendall(content)
                    time.sleep(COMMIT_SECONDS)
                    break
                server.sendall(content)
        self._close(pair)

    def _to_client(self, pair: Pair) -> None:
        client, server = pair
        with suppress(OSError):
            while content := server.recv(CHUNK_BYTES):
                self._wait(pair)
                client.sendall(content)
        self._close(pair)

    def _takes_commit(self) -> bool:
        with self._lock:
            if not self._commits_to_swallow:
                return False
            self._commits_to_swallow -= 1
            self.commits_swallowed += 1
            return True

    def _wait(self, pair: Pair) -> None:
        time.sleep(max(0.0, self._held_until - time.monotonic()))
        if pair in self._frozen:
            self._is_over.wait()

    def _close(self, pair: Pair) -> None:
        with self._lock, suppress(ValueError):
            self._pairs.remove(pair)
        for end in pair:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def proxying(find_server: Callable[[], str]) -> Iterator[Proxy]:
    """In front of PostgreSQL, whose folder `find_server` names; in a folder whose path is short enough for a socket."""

    def connect() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{find_server()}/{SOCKET_NAME}")
        except OSError:
            server.close()
            raise
        return server

    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/{SOCKET_NAME}")
        with _running(Proxy(listener, connect)) as proxy:
            yield proxy


@contextmanager
def proxying_broker(url: str) -> Iterator[tuple[Proxy, str]]:
    """In front of a broker on TCP; the proxy, and the address by which a client reaches the broker through it."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 0)
    login, at, _ = parts.netloc.rpartition("@")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        _running(Proxy(listener, lambda: socket.create_connection(address, timeout=None))) as proxy,
    ):
        yield proxy, parts._replace(netloc=f"{login}{at}127.0.0.1:{proxy.port}").geturl()


@contextmanager
def _running(proxy: Proxy) -> Iterator[Proxy]:
    try:
        yield proxy
    finally:
        proxy.stop()
