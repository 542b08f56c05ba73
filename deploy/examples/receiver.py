#!/usr/bin/env python3
"""A receiver in plain Python, standard library only: does the work of an http job type and takes its callbacks.

It verifies every request (Standard Webhooks, v1), counts the words of `payload.text` for `job.run`, and prints and
keeps the events `job.completed`, `job.discarded` and `job.cancelled`. A request that comes again is not worked twice.
At `/later` it answers `job.run` at once, works on a thread of its own, and completes the job when it is done.

    python3 deploy/examples/receiver.py --secret whsec_… --port 9000 [--log events.jsonl] [--requests requests.jsonl]
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
import urllib.error
import urllib.request
from collections import Counter, OrderedDict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOLERANCE_SECONDS = 300
MAX_BODY_BYTES = 2 * 1024 * 1024
REMEMBERED_ANSWERS = 10_000
COMPLETE_TRIES = 5


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


def complete(url: str, completion: dict[str, Any], *, pause_seconds: float = 1.0) -> int:
    """POST what the run came to; the status. Tried again while the service is away: it may have been restarted."""
    # Its scheme is that of the service's own address, as `answer_later` saw to.
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(completion).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    status = 0
    for left in reversed(range(COMPLETE_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # nosec B310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        if 400 <= status < 500 and status != 429:
            # 409 lease-lost: it was taken before, or the run is not ours any more. Nothing is to be done about it.
            return status
        if left:
            time.sleep(pause_seconds)
    return status


class Desk:
    """What the receiver knows: its key, the answers it gave, where events and requests go, and whom it works for."""

    def __init__(
        self,
        key: bytes,
        log: Path | None,
        requests: Path | None = None,
        *,
        service: str = "http://127.0.0.1:8000",
    ) -> None:
        self._key = key
        self._log = log
        self._requests = requests
        self._service = service.rstrip("/") + "/"
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The JSON to answer with. Raises `Refused`."""
        if self._requests is not None:
            # As it came, before it is believed: for a look at what the service sends, or a check of your own.
            with self._lock:
                _append(self._requests, {"headers": dict(headers), "body": body.decode(errors="replace")})
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

    def answer_later(self, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """Begin the work of a `job.run` on a thread; None when it will complete the job. Raises `Refused`."""
        url = headers.get("job-complete-url", "")
        verify(self._key, headers, body, now=time.time())
        # Headers are not signed: the result goes to nobody but the service that we know.
        if not url.startswith(self._service):
            return self.answer(headers, body)
        threading.Thread(target=self._complete, args=(url, headers, body), daemon=True).start()
        return None

    def _complete(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        completion: dict[str, Any]
        try:
            completion = {"outcome": "completed", "result": json.loads(self.answer(headers, body))}
        except Refused as refusal:
            error = {"code": "refused", "message": refusal.sentence}
            completion = {"outcome": "failed", "error": error, "permanent": refusal.is_permanent}
        print(f"{completion['outcome']} {headers['webhook-id']}: {complete(url, completion)}", flush=True)

    def _work(self, message_id: str, kind: str, data: Any, message: Any) -> bytes:
        if kind == "job.run":
            result = count_text(data.get("payload") if isinstance(data, dict) else None)
            print(f"job.run {message_id}: {result['words']} words", flush=True)
            return json.dumps(result).encode()
        if self._log is not None:
            _append(self._log, {"webhook_id": message_id, **message})
        print(f"{kind} {message_id}", flush=True)
        return b'{"received": true}'

    def _remember(self, message_id: str, answer: bytes) -> None:
        self._answers[message_id] = answer
        if len(self._answers) > REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)


def _append(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


class Receiver(ThreadingHTTPServer):
    """The server: one thread per connection."""

    daemon_threads = True
    # Jobs come many at once.
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], desk: Desk) -> None:
        super().__init__(address, Handler)
        self.desk = desk


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: Receiver

    def do_POST(self) -> None:
        try:
            headers, body = self._lower_headers(), self._read_body()
            is_later = self.path == "/later"
            answer = (
                self.server.desk.answer_later(headers, body) if is_later else self.server.desk.answer(headers, body)
            )
            if answer is None:
                self._answer(202, b"{}", Job_Completion="async")
            else:
                self._answer(200, answer)
        except Refused as refusal:
            print(f"refused with {refusal.status}: {refusal.sentence}", flush=True)
            self._answer(
                refusal.status,
                json.dumps({"error": refusal.sentence}).encode(),
                **({"Job_Retry": "false"} if refusal.is_permanent else {}),
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

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Does the work of an http job type and takes its callbacks.")
    parser.add_argument("--secret", required=True, help="the tenant's signing secret, whsec_…")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--service", default="http://127.0.0.1:8000", help="where jobs are completed later")
    parser.add_argument("--log", type=Path, help="a file that gets one JSON line per event")
    parser.add_argument("--requests", type=Path, help="a file that gets one JSON line per request, as it came")
    options = parser.parse_args(arguments)
    try:
        key = read_secret(options.secret)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        desk = Desk(key, options.log, options.requests, service=options.service)
        receiver = Receiver((options.host, options.port), desk)
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
