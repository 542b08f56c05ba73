"""HashiCorp Vault as far as we use it, on a real loopback socket: the token and AppRole methods, one Transit mount.

It answers as Vault does, status for status and with Vault's own words where the service reads them, and really
encrypts. `rewrap` is here, too: it takes no associated data, which is why nobody calls it.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROLE_ID, SECRET_ID = "role-of-a-test", "secret-of-a-test"
_TRANSIT = re.compile(r"/v1/transit/(keys|encrypt|decrypt|rewrap)/([\w.-]+)(?:/(rotate|config))?")
# The two policies that docs/keys.md shows, and what an operator may besides.
SERVICE = frozenset({"keys:GET", "encrypt", "decrypt"})
OPERATOR = SERVICE | {"rotate", "config", "keys:POST", "rewrap"}


class Refused(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status, self.errors = status, errors


@dataclass
class Key:
    """A Transit key: its secrets by version."""

    type: str = "aes256-gcm96"
    secrets: dict[int, bytes] = field(default_factory=lambda: {1: os.urandom(32)})
    created: dict[int, int] = field(default_factory=lambda: {1: int(time.time())})
    least: int = 1

    def rotate(self) -> None:
        version = max(self.secrets) + 1
        self.secrets[version], self.created[version] = os.urandom(32), int(time.time())

    def describe(self, name: str) -> dict[str, Any]:
        readable = {str(version): second for version, second in self.created.items() if version >= self.least}
        return {
            "name": name,
            "type": self.type,
            "derived": False,
            "exportable": False,
            "keys": readable,
            "latest_version": max(self.secrets),
            "min_decryption_version": self.least,
            "min_encryption_version": 0,
        }

    def encrypt(self, plaintext: str, binding: str, version: int) -> dict[str, Any]:
        version = version or max(self.secrets)
        if version > max(self.secrets):
            raise Refused(400, "requested version for encryption is higher than the latest key version")
        nonce = os.urandom(12)
        sealed = AESGCM(self.secrets[version]).encrypt(nonce, b64decode(plaintext), b64decode(binding))
        return {"ciphertext": f"vault:v{version}:{b64encode(nonce + sealed).decode()}", "key_version": version}

    def decrypt(self, ciphertext: str, binding: str) -> dict[str, Any]:
        found = re.fullmatch(r"vault:v(\d+):(.+)", ciphertext)
        if found is None:
            raise Refused(400, "invalid ciphertext: no prefix")
        version, raw = int(found[1]), b64decode(found[2])
        if version > max(self.secrets):
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < self.least:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            plaintext = AESGCM(self.secrets[version]).decrypt(raw[:12], raw[12:], b64decode(binding))
        except InvalidTag:
            raise Refused(400, "cipher: message authentication failed") from None
        return {"plaintext": b64encode(plaintext).decode()}


class VaultServer:
    """One Vault. A test sets what is wrong with it: `is_sealed`, `seconds_late`, `redirect_to`, `is_mute`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.keys = {"jobservice": Key()}
        self.tokens: dict[str, frozenset[str]] = {"t-service": SERVICE, "t-operator": OPERATOR}
        self.lease_seconds = 3600
        self.namespace = ""
        self.is_sealed = self.is_mute = False
        self.seconds_late = 0.0
        self.redirect_to = ""
        self.asked: list[str] = []
        self._tls = tls
        self._served: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, after a stop at the same address as before."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        served = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        served.daemon_threads = True
        if self._tls is not None:
            served.socket = self._tls.wrap_socket(served.socket, server_side=True)
        self._served, self.port = served, served.server_port
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._served is not None:
            self._served.shutdown()
            self._served.server_close()
            self._served = None

    def count(self, path: str) -> int:
        """How often a path that contains this was asked for."""
        return sum(path in asked for asked in self.asked)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(length) or b"{}")
        self.asked.append(f"{request.command} {request.path}")
        # A connection that outlived a stop belongs to a Vault that is gone.
        request.close_connection = True
        time.sleep(self.seconds_late)
        if self._served is None:
            return
        status, content = self._decide(request, body)
        text = json.dumps(content).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.send_header("Connection", "close")
        if self.redirect_to:
            request.send_header("Location", self.redirect_to + request.path)
        request.end_headers()
        request.wfile.write(text)

    def _decide(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[int, Any]:
        if self.redirect_to:
            return 307, {}
        if self.is_mute:
            return 200, ["not", "Vault"]
        try:
            if self.is_sealed:
                raise Refused(503, "Vault is sealed")
            if request.headers.get("X-Vault-Namespace", "") != self.namespace:
                raise Refused(403, "permission denied")
            return 200, self._route(request, body)
        except Refused as refused:
            return refused.status, {"errors": list(refused.errors)}

    def _route(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> dict[str, Any]:
        if request.path == "/v1/auth/approle/login":
            return self._log_in(body)
        allowed = self.tokens.get(request.headers.get("X-Vault-Token", ""))
        if allowed is None:
            raise Refused(403, "permission denied")
        if request.path == "/v1/auth/token/renew-self":
            if not self.lease_seconds:
                raise Refused(400, "lease is not renewable")
            return {"auth": {"lease_duration": self.lease_seconds, "renewable": True}}
        found = _TRANSIT.fullmatch(request.path)
        if found is None:
            raise Refused(404)
        kind, name, act = found.groups()
        right = act or (f"keys:{request.command}" if kind == "keys" else kind)
        if right not in allowed:
            raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
        if right == "keys:POST":
            self.keys.setdefault(name, Key(type=body.get("type", "aes256-gcm96")))
        key = self.keys.get(name)
        if key is None:
            raise Refused(404) if kind == "keys" else Refused(400, "encryption key not found")
        return {"data": self._use(key, name, act or kind, body)}

    def _log_in(self, body: dict[str, Any]) -> dict[str, Any]:
        if (body.get("role_id"), body.get("secret_id")) != (ROLE_ID, SECRET_ID):
            raise Refused(400, "invalid role or secret ID")
        token = f"t-{os.urandom(8).hex()}"
        self.tokens[token] = SERVICE
        return {"auth": {"client_token": token, "lease_duration": self.lease_seconds, "renewable": True}}

    def _use(self, key: Key, name: str, act: str, body: dict[str, Any]) -> dict[str, Any]:
        binding = body.get("associated_data", "")
        if act == "rotate":
            key.rotate()
        elif act == "config":
            key.least = body.get("min_decryption_version", key.least)
        uses: dict[str, Callable[[], dict[str, Any]]] = {
            "encrypt": lambda: key.encrypt(body["plaintext"], binding, body.get("key_version", 0)),
            "decrypt": lambda: key.decrypt(body["ciphertext"], binding),
            "rewrap": lambda: key.encrypt(key.decrypt(body["ciphertext"], "")["plaintext"], "", 0),
        }
        return uses[act]() if act in uses else key.describe(name)


@contextmanager
def running_vault(*, tls: ssl.SSLContext | None = None) -> Iterator[VaultServer]:
    server = VaultServer(tls=tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()
