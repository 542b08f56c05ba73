"""One mail to the operator's mail server, in a bounded time, and over TLS only to who shows that it is that server."""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import ssl
import threading
from email.message import EmailMessage
from typing import Any
from urllib.parse import SplitResult, unquote

# For one answer, and for all of a mail: the limit of a socket begins anew with each byte that a server drips.
ANSWER_SECONDS = 20.0
MAIL_SECONDS = 60.0


def send(message: EmailMessage, parts: SplitResult) -> None:
    """Hand it to the server of this address. Raises `OSError`, which `smtplib`'s own errors are too."""
    server = _connect(parts)
    try:
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
        # It is taken: what a server says to a farewell is no reason to send it once more.
        with contextlib.suppress(OSError):
            server.quit()
    finally:
        server.close()


def is_passing(error: OSError) -> bool:
    """Whether the same mail may be taken a little later: the server is away, slow or busy, and has not refused it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        # -1 stands for an answer that was none.
        return error.smtp_code < 500
    return isinstance(error, smtplib.SMTPServerDisconnected) or not isinstance(error, smtplib.SMTPException)


class _Bounded(smtplib.SMTP):
    """Cuts the line when all of it has taken too long; whoever waits for an answer then sees its end."""

    _clock: threading.Timer | None = None
    _line: socket.socket | None = None

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        sock = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # as smtplib's own SMTP_SSL does
        # A second handle of the same line: TLS takes the first one over.
        self._line = socket.socket(fileno=os.dup(sock.fileno()))
        self._clock = threading.Timer(MAIL_SECONDS, _cut, [self._line])
        self._clock.daemon = True
        self._clock.start()
        return sock

    def close(self) -> None:
        super().close()
        if self._clock is not None:
            self._clock.cancel()
        if self._line is not None:
            self._line.close()


class _BoundedTls(smtplib.SMTP_SSL, _Bounded):
    """The same; its TLS begins above the line that is watched."""

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        try:
            return super()._get_socket(host, port, timeout)
        except BaseException:
            self.close()
            raise


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _connect(parts: SplitResult) -> smtplib.SMTP:
    """Over TLS only to who shows a certificate of the server's name: whoever reads such a mail has the login."""
    host, port = parts.hostname or "", parts.port or 0
    if parts.scheme == "smtps":
        return _BoundedTls(host, port, timeout=ANSWER_SECONDS, context=ssl.create_default_context())
    server = _Bounded(host, port, timeout=ANSWER_SECONDS)
    if parts.scheme == "smtp+starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
