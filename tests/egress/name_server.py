"""A name server of our own on loopback, and the system's resolver pointed at it: the lookup itself is the real one."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

A, CNAME, AAAA = 1, 5, 28
_HEADER = struct.Struct(">HHHHHH")
# Where glibc's `struct __res_state` (resolver(3)) keeps the seconds it waits and the times it asks, the number of name
# servers, and the first one's address.
_PATIENCE_OFFSET, _NSCOUNT_OFFSET, _SERVER_OFFSET = 0, 16, 20

# What a name has, by the turn of the question: addresses and aliases; None: there is no such name.
Zone = dict[str, list[list[str] | None]]


@dataclass(slots=True)
class NameServer:
    """Answers from the zone with a time to live of 0; each family's questions for a name count apart."""

    zone: Zone
    delay_seconds: float = 0.0
    # What the names that get no answer end with, and how long a lookup waits for one.
    silent: str | None = None
    patience_seconds: int = 2
    socket: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    # The names that lookups began with, answered or not, and the questions that came of them.
    looked_up: list[str] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    turns: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def serve(self) -> None:
        while not self.stopped.is_set():
            with contextlib.suppress(TimeoutError):
                question, sender = self.socket.recvfrom(512)
                answer = self.answer(question)
                if self.silent is not None and self.asked[-1][0].endswith(self.silent):
                    continue
                if not self.stopped.wait(self.delay_seconds):
                    self.socket.sendto(answer, sender)

    def answer(self, message: bytes) -> bytes:
        name, kind, question = _read_question(message)
        self.asked.append((name, kind))
        records: list[bytes] = []
        known = self._follow(name, kind, records)
        flags = 0x8580 if known else 0x8583
        head = _HEADER.pack(int.from_bytes(message[:2], "big"), flags, 1, len(records), 0, 0)
        return head + question + b"".join(records)

    def _follow(self, name: str, kind: int, records: list[bytes]) -> bool:
        entries = self._entries(name, kind)
        if entries is None:
            return False
        for entry in entries:
            if entry.startswith("→"):
                alias = entry.removeprefix("→")
                records.append(_record(name, CNAME, _pack_name(alias)))
                self._follow(alias, kind, records)
            elif (address := ipaddress.ip_address(entry)).version == (4 if kind == A else 6):
                records.append(_record(name, kind, address.packed))
        return True

    def _entries(self, name: str, kind: int) -> list[str] | None:
        turns = self.zone.get(name, [None])
        turn = self.turns[name, kind]
        self.turns[name, kind] += 1
        return turns[min(turn, len(turns) - 1)]


@contextlib.contextmanager
def name_server(
    zone: Zone, *, delay_seconds: float = 0.0, silent: str | None = None, patience_seconds: int = 2
) -> Iterator[NameServer]:
    """Serve the zone, to every lookup that this process makes meanwhile; never answer for names that end like that."""
    server = NameServer(zone, delay_seconds, silent, patience_seconds)
    server.socket.bind(("127.0.0.1", 0))
    server.socket.settimeout(0.05)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", _asking(server, socket.getaddrinfo))
            yield server
    finally:
        server.stopped.set()
        thread.join()
        server.socket.close()


def _asking(server: NameServer, look_up: Callable[..., Any]) -> Callable[..., Any]:
    library = ctypes.CDLL(None)
    library.__res_state.restype = ctypes.c_void_p

    def look_up_there(host: str, *args: Any, flags: int = 0, **named: Any) -> Any:
        server.looked_up.append(host)
        # The state belongs to the thread that asks.
        library.__res_init()
        _point_at(library.__res_state(), server.port, server.patience_seconds)
        # Whether this machine has IPv6 must not decide what a test sees.
        return look_up(host, *args, flags=flags & ~socket.AI_ADDRCONFIG, **named)

    return look_up_there


def _point_at(state: int, port: int, patience_seconds: int) -> None:
    server = struct.pack("=H", socket.AF_INET) + struct.pack(">H4s8x", port, ipaddress.ip_address("127.0.0.1").packed)
    ctypes.memmove(state + _PATIENCE_OFFSET, struct.pack("=ii", patience_seconds, 1), 8)
    ctypes.c_int.from_address(state + _NSCOUNT_OFFSET).value = 1
    ctypes.memmove(state + _SERVER_OFFSET, server, len(server))


def _read_question(message: bytes) -> tuple[str, int, bytes]:
    labels, place = [], _HEADER.size
    while length := message[place]:
        labels.append(message[place + 1 : place + 1 + length].decode("ascii"))
        place += 1 + length
    kind = int.from_bytes(message[place + 1 : place + 3], "big")
    return ".".join(labels).lower(), kind, message[_HEADER.size : place + 5]


def _pack_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".")) + b"\0"


def _record(name: str, kind: int, content: bytes) -> bytes:
    return _pack_name(name) + struct.pack(">HHIH", kind, 1, 0, len(content)) + content
