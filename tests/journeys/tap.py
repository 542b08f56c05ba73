"""Listens in on the broker: every byte that passes between it and the product's processes."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import redis

CHUNK_BYTES = 65536


class Tap:
    """What was heard so far, of all connections and both directions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: list[bytes] = []

    def note(self, content: bytes) -> None:
        with self._lock:
            self._heard.append(content)

    @property
    def heard(self) -> bytes:
        """Each stretch of bytes as it came, one after another."""
        with self._lock:
            return b"".join(self._heard)


@contextmanager
def tapped_broker(url: str) -> Iterator[tuple[Tap, str]]:
    """A broker on TCP, and the address by which it is reached through the tap."""
    parts, tap = urlsplit(url), Tap()
    login, at, _ = parts.netloc.rpartition("@")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=[listener, (parts.hostname, parts.port), tap], daemon=True).start()
        yield tap, parts._replace(netloc=f"{login}{at}127.0.0.1:{listener.getsockname()[1]}").geturl()


@contextmanager
def tapped_valkey(url: str) -> Iterator[tuple[Tap, redis.Redis]]:
    """The embedded broker on its socket, by its own means: it tells each command that it takes."""
    path, tap = url.removeprefix("redis+socket://").split("?")[0], Tap()
    client = redis.Redis(unix_socket_path=path)
    with client.monitor() as monitor:  # type: ignore[no-untyped-call]  # the library's
        threading.Thread(target=_follow, args=[monitor, tap], daemon=True).start()
        yield tap, client
    client.close()


def _follow(monitor: redis.client.Monitor, tap: Tap) -> None:
    with suppress(redis.RedisError, OSError, ValueError, AttributeError):
        while True:
            tap.note(re.sub(rb"\s+", b" ", str(monitor.next_command()).encode()))  # type: ignore[no-untyped-call]  # the library's


def _accept(listener: socket.socket, address: tuple[str, int], tap: Tap) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=[client, address, tap], daemon=True).start()


def _serve(client: socket.socket, address: tuple[str, int], tap: Tap) -> None:
    """One connection, until either end of it ends."""
    with client, suppress(OSError), socket.create_connection(address) as server:
        back = threading.Thread(target=_pass_on, args=[server, client, tap], daemon=True)
        back.start()
        _pass_on(client, server, tap)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket, tap: Tap) -> None:
    with suppress(OSError):
        while content := source.recv(CHUNK_BYTES):
            tap.note(content)
            target.sendall(content)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
