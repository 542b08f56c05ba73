"""A tenant's endpoint for the journeys: does real work for `job.run`, and verifies every request with the public
`standardwebhooks` package before it believes it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.journeys.product import Product


class Receiver:
    """What the endpoint saw. `callbacks` maps a job's id to the webhook ids it was told under."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._lock = threading.Lock()
        self.runs: Counter[str] = Counter()
        self.callbacks: dict[str, Counter[str]] = defaultdict(Counter)
        self.events: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.started = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.url = ""

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        try:
            event = self._webhook.verify(body, headers)
        except WebhookVerificationError as error:
            with self._lock:
                self.refused.append(str(error))
            return 400, {"error": "bad signature"}
        if event["type"] == "job.run":
            return 200, self._run(event["data"])
        with self._lock:
            self.callbacks[event["data"]["job"]["id"]][headers["webhook-id"]] += 1
            self.events.append(event)
        return 204, None

    def _run(self, data: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.runs[data["job"]["id"]] += 1
        self.started.set()
        self.hold.wait(timeout=60)
        return count_words(data["payload"]["text"])


def count_words(text: str) -> dict[str, Any]:
    """The work: words, lines and the three commonest words of a text."""
    words = text.split()
    commonest = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))[:3]
    return {"words": len(words), "lines": text.count("\n"), "commonest": [list(item) for item in commonest]}


@contextmanager
def receiving(secret: str) -> Iterator[Receiver]:
    """A receiver on a free loopback port."""
    receiver = Receiver(secret)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = receiver.answer(body, {name.lower(): value for name, value in self.headers.items()})
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            """Quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 512
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A peer that was killed mid-request is part of the journey."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


@contextmanager
def connected_receiver(product: Product) -> Iterator[Receiver]:
    """A receiver with the demo tenant's signing secret, known to the product as job type `text.count`."""
    status, answer = product.call("GET", "/v1/signing-secrets/default")
    assert status == 200, answer
    with receiving(answer["secret"]) as receiver:
        spec = {"executor": "http", "http": {"url": receiver.url}, "defaults": {"retry": {"initial_seconds": 1}}}
        status, answer = product.call("PUT", "/v1/job-types/text.count", spec)
        assert status in (200, 201), answer
        yield receiver
