"""Hears a child say that it can do its work: the listening half of `jobservice.ready`, one socket per start."""

from __future__ import annotations

import os
import socket
import struct

from jobservice.ready import MESSAGE

# Process, user and group of the sender, by the kernel's word.
_CREDENTIALS = struct.Struct("3i")
_LONGEST_MESSAGE = 4096


class ReadySocket:
    """An abstract address that the kernel chose; nothing is left of it on disk."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("")

    @property
    def address(self) -> str:
        """What the child gets as `NOTIFY_SOCKET`."""
        return f"@{self._socket.getsockname()[1:].decode()}"

    def hears(self, group: int) -> bool:
        """Whether a process of this group has said it by now. Everyone on the machine could: only the group counts."""
        while True:
            try:
                message, details, _, _ = self._socket.recvmsg(
                    _LONGEST_MESSAGE, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return False
            if message == MESSAGE and any(_group_of(content) == group for _, _, content in details):
                return True

    def close(self) -> None:
        self._socket.close()


def _group_of(credentials: bytes) -> int:
    if len(credentials) != _CREDENTIALS.size:
        return -1
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
