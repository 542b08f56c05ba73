#!/usr/bin/env python3
"""A receiver in plain Python, standard library only: does the work of an http job type and takes its callbacks.

It verifies every request (Standard Webhooks, v1), counts the words of `payload.text` for `job.run`, and prints and
keeps the events `job.completed`, `job.discarded` and `job.cancelled`. A request that comes again is not worked twice.

    python deploy/examples/receiver.py --secret whsec_… --port 9000 [--log events.jsonl]
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import json
import re
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOLERANCE_SECONDS = 300
MAX_BODY_BYTES = 2 * 1024 * 1024
REMEMBERED_ANSWERS = 10_000


class Refused(Exception):
    """The request is answered with this status and sentence, and nothing is done."""

    def __init__(self, status: int, sentence: str, *, is_permanent: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.is_permanent = is_permanent


def read_secret(text: str) -> bytes:
    """The key in `whsec_<base64>`. Raises `ValueError` with a sentence."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True) if text.startswith("whsec_") else b""
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("The secret must be whsec_ and base64; ask GET /v1/signing-secrets/default for it.")
    return key


def verify(key: bytes, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """The webhook-id of a request signed within the last minutes; header names are lower-case. Raises `Refused`."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Refused(401, "The webhook headers are missing or malformed.")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise Refused(401, "The request is too old or from the future.")
    wanted = base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256"))
    # While a secret is rotated the header holds one signature of each.
    for part in headers.get("webhook-signature", "").split():
        version, _, signature = part.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode(), wanted):
            return message_id
    raise Refused(401, "No signature fits.")


def count_text(payload: Any) -> dict[str, Any]:
    """The work: lines, words, bytes and the most common words of `payload.text`. Raises `Refused`."""
    text = payload.get("text") if isinstance(payload, dict) else None
    if not isinstance(text, str):
        # Trying again cannot help, so the answer says that the job must not be.
        raise Refused(422, "The payload must be an object with a text.", is_permanent=True)
    words = re.findall(r"\w+", text.lower())
    return {
        "lines": len(text.splitlines()),
        "words": len(words),
        "bytes": len(text.encode("utf-8", "replace")),
        "most_common": [{"word": word, "count": count} for word, count in Counter(words).most_common(5)],
    }


class Desk:
    """What the receiver knows: its key, the answers it gave, and where events go."""

    def __init__(self, key: bytes, log: Path | None) -> None:
        self._key = key
        self._log = log
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The JSON to answer with. Raises `Refused`."""
        message_id = verify(self._key, headers, body, now=time.time())
        try:
            message = json.loads(body)
            kind, data = message["type"], message["data"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Refused(400, "The body is not an event.") from None
        # The id is signed; it is the job's for `job.run` (and the Idempotency-Key), and the event's for a callback.
        # One lock for all: of two copies that come at once, one works and the other gets its answer.
        with self._lock:
            if message_id not in self._answers:
                self._remember(message_id, self._work(message_id, kind, data, message))
            return self._answers[message_id]

    def _work(self, message_id: str, kind: str, data: Any, message: Any) -> bytes:
        if kind == "job.run":
            result = count_text(data.get("payload") if isinstance(data, dict) else None)
            print(f"job.run {message_id}: {result['words']} words", flush=True)
            return json.dumps(result).encode()
        self._keep({"webhook_id": message_id, **message})
        print(f"{kind} {message_id}", flush=True)
        return b'{"received": true}'

    def _keep(self, event: dict[str, Any]) -> None:
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")

    def _remember(self, message_id: str, answer: bytes) -> None:
        self._answers[message_id] = answer
        if len(self._answers) > REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)


class Receiver(ThreadingHTTPServer):
    """The server: one thread per connection."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], desk: Desk) -> None:
        super().__init__(address, Handler)
        self.desk = desk


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: Receiver

    def do_POST(self) -> None:
        try:
            self._answer(200, self.server.desk.answer(self._lower_headers(), self._read_body()))
        except Refused as refusal:
            print(f"refused with {refusal.status}: {refusal.sentence}", flush=True)
            self._answer(
                refusal.status, json.dumps({"error": refusal.sentence}).encode(), is_permanent=refusal.is_permanent
            )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Each request has its own line already."""

    def _lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _read_body(self) -> bytes:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) <= 12):
            self.close_connection = True
            raise Refused(411, "A Content-Length is needed.")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise Refused(413, "The body is too large.")
        return self.rfile.read(int(length))

    def _answer(self, status: int, body: bytes, *, is_permanent: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if is_permanent:
            self.send_header("Job-Retry", "false")
        self.end_headers()
        self.wfile.write(body)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Does the work of an http job type and takes its callbacks.")
    parser.add_argument("--secret", required=True, help="the tenant's signing secret, whsec_…")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--log", type=Path, help="a file that gets one JSON line per event")
    options = parser.parse_args(arguments)
    try:
        key = read_secret(options.secret)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        receiver = Receiver((options.host, options.port), Desk(key, options.log))
    except (OSError, OverflowError) as error:
        print(f"Port {options.port} on {options.host} cannot be used: {error}.", file=sys.stderr)
        return 1
    print(f"listening on http://{options.host}:{receiver.server_port}", flush=True)
    try:
        receiver.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        receiver.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
