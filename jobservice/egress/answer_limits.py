"""Limits on what a peer may send for one answer that aiohttp has no setting for: interim answers, and bytes in all.

A total timeout ends such a peer too, but until then it would keep the event loop, and so everyone's calls, busy.
"""

from __future__ import annotations

import time
from typing import Any

from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage

MAX_READ_BYTES = 1024 * 1024
# Some servers send 102 Processing every few seconds through an hour of work.
MAX_INTERIM_ANSWERS = 1000
# A body of MAX_READ_BYTES in ordinary chunks and the largest header fit in twice that.
_MAX_RAW_BYTES = 2 * MAX_READ_BYTES
_PIECE_BYTES = 8 * 1024


class LimitedAnswer(ResponseHandler):
    """aiohttp's protocol of one connection, which gives up on a peer that sends too much or out of turn."""

    _raw_bytes = 0
    _interim_answers = 0
    _is_answered = True
    _kept_until = 0.0

    @property
    def should_close(self) -> bool:
        """Whether the connection ends with its answer: unless it was told otherwise, it does."""
        return time.monotonic() > self._kept_until or super().should_close

    def keep(self, seconds: float) -> None:
        """From now on and for so long, let another request use the connection after each answer."""
        self._kept_until = time.monotonic() + seconds

    def set_response_params(self, **params: Any) -> None:
        """Start waiting for the answer to a new request."""
        self._raw_bytes = self._interim_answers = 0
        self._is_answered = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse what came, in pieces until the header is complete, so that a flood costs no more than its start."""
        self._raw_bytes += len(data)
        if self._raw_bytes > _MAX_RAW_BYTES:
            self._give_up("The answer is too long.")
        elif data and self._is_idle():
            self._give_up("Bytes came that no request asked for.")
        while len(data) > _PIECE_BYTES and not self._is_answered and self.is_connected():
            super().data_received(data[:_PIECE_BYTES])
            data = data[_PIECE_BYTES:]
        if self.is_connected():
            super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take one parsed header."""
        if 100 <= data[0].code <= 199:
            self._interim_answers += 1
        else:
            self._is_answered = True
        if self._interim_answers > MAX_INTERIM_ANSWERS:
            self._give_up("There are too many interim answers.")
        else:
            super().feed_data(data, size)

    def _is_idle(self) -> bool:
        return self._is_answered and (self._payload is None or self._payload.is_eof())

    def _give_up(self, reason: str) -> None:
        if self.transport is not None:
            self.transport.abort()
        self.set_exception(BadHttpMessage(reason))
