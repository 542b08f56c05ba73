"""A mail server on loopback, over TLS with a certificate of its own; it takes everything unless told not to."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Longer than any test waits for its client: who leaves first is the client.
SECONDS = 60.0


def write_certificate(folder: Path, *, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """The files of a certificate for an address, signed by itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "mail.pem", folder / "mail.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@dataclass
class Manners:
    """How a server behaves. `login`: who alone may send; `refusals`: what it says to a command, by its first word, to
    one client after another, the last one to all that follow; `drips`: it greets a byte at a time, without an end;
    `silent_after`: it takes the line of this first word and says nothing any more.
    """

    login: tuple[str, str] | None = None
    refusals: dict[str, list[str]] = field(default_factory=dict)
    drips: bool = False
    silent_after: str = ""


class MailServer:
    """`lines`: all that a client said, in the clear or after TLS began; `messages`: the mails that it took;
    `clients`: how many came.
    """

    def __init__(self, scheme: str, certificate: tuple[Path, Path] | None, manners: Manners, port: int = 0) -> None:
        self._scheme = scheme
        self._manners = manners
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._is_open = True
        self.port = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.messages: list[EmailMessage] = []
        self.clients = 0

    def close(self) -> None:
        self._is_open = False
        self._listener.close()

    def serve(self) -> None:
        """Until it is closed: one client after another."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.clients += 1
            client.settimeout(SECONDS)
            with contextlib.suppress(OSError):  # the client did not like us
                self._talk(client)

    def _secure(self, client: Any) -> Any:
        assert self._context is not None
        return self._context.wrap_socket(client, server_side=True)

    def _talk(self, client: Any) -> None:
        with contextlib.ExitStack() as open_sockets:
            open_sockets.enter_context(client)
            if self._scheme == "smtps":
                client = open_sockets.enter_context(self._secure(client))
            if self._manners.drips:
                self._drip(client)
            client.sendall((self._refusal("greeting") or "220 mail").encode() + b"\r\n")
            is_secure, is_known, is_data, data = self._scheme == "smtps", False, False, []
            reader = open_sockets.enter_context(client.makefile("rb"))
            while line := reader.readline():
                text = line.decode().rstrip("\r\n")
                self.lines.append(text)
                word = text.split(" ")[0].lower()
                if not is_data and word == self._manners.silent_after:
                    reader.read()
                    return
                if text == "STARTTLS" and not is_secure:
                    client.sendall(b"220 go\r\n")
                    client = open_sockets.enter_context(self._secure(client))
                    reader = open_sockets.enter_context(client.makefile("rb"))
                    is_secure = True
                    continue
                if is_data and text != ".":
                    data.append(text.removeprefix(".") if text.startswith("..") else text)
                    continue
                if is_data:
                    self._take("\r\n".join(data))
                    is_data, data = False, []
                    client.sendall(b"250 taken\r\n")
                    continue
                if word == "auth":
                    is_known = self._knows(text)
                answer = self._refusal(word) or self._answer(word, is_secure=is_secure, is_known=is_known)
                is_data = answer.startswith("354")
                client.sendall(answer.encode() + b"\r\n")

    def _drip(self, client: Any) -> None:
        while self._is_open:
            client.sendall(b"2")
            time.sleep(0.05)

    def _take(self, text: str) -> None:
        parsed = message_from_string(text, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.messages.append(parsed)

    def _knows(self, text: str) -> bool:
        _user, name, password = base64.b64decode(text.split(" ")[2]).decode().split("\x00")
        return (name, password) == self._manners.login

    def _refusal(self, word: str) -> str | None:
        refusals = self._manners.refusals.get(word, [])
        return refusals[min(self.clients, len(refusals)) - 1] or None if refusals else None

    def _answer(self, word: str, *, is_secure: bool, is_known: bool) -> str:
        wants_login = self._manners.login is not None
        if word == "ehlo":
            offers = ["mail"]
            offers += ["STARTTLS"] if self._scheme == "smtp+starttls" and not is_secure else []
            offers += ["AUTH PLAIN"] if wants_login and is_secure else []
            return "\r\n".join([*(f"250-{offer}" for offer in offers), "250 8BITMIME"])
        if word == "auth":
            return "235 welcome" if is_known else "535 no"
        if word == "mail" and wants_login and not is_known:
            return "530 log in first"
        return {"data": "354 go", "quit": "221 bye"}.get(word, "250 taken")


@contextmanager
def mail_server(
    scheme: str, certificate: tuple[Path, Path] | None = None, manners: Manners | None = None, *, port: int = 0
) -> Iterator[MailServer]:
    server = MailServer(scheme, certificate, manners or Manners(), port)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.close()
