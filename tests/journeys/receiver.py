"""A tenant's endpoint for the journeys: does real work for `job.run`, and verifies every request with the public
`standardwebhooks` package before it believes it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from standardwebhooks import Webhook, WebhookVerificationError

from tests.journeys.posted import Answer, answering_posts
from tests.journeys.product import Product

R = TypeVar("R", bound="Receiver")


class Receiver:
    """What the endpoint saw. `callbacks` maps a job's id to the webhook ids it was told under."""

    def __init__(self, secret: str) -> None:
        if secret:
            self.trust(secret)
        self._lock = threading.Lock()
        self.runs: Counter[str] = Counter()
        self.callbacks: dict[str, Counter[str]] = defaultdict(Counter)
        self.events: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.started = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.hold_callbacks = threading.Event()
        self.hold_callbacks.set()
        # How long each answer takes.
        self.pause_seconds = 0.0
        self.url = ""

    def trust(self, secret: str) -> None:
        """Believe what is signed with this secret, and nothing else."""
        self._webhook = Webhook(secret)

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        try:
            event = self._webhook.verify(body, headers)
        except WebhookVerificationError as error:
            with self._lock:
                self.refused.append(str(error))
            return 400, {"error": "bad signature"}
        time.sleep(self.pause_seconds)
        if event["type"] == "job.run":
            return 200, self._run(event["data"])
        with self._lock:
            self.callbacks[event["data"]["job"]["id"]][headers["webhook-id"]] += 1
            self.events.append(event)
        self.hold_callbacks.wait(timeout=60)
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
def receiving(receiver: R) -> Iterator[R]:
    """The receiver on a free loopback port."""

    def answer(body: bytes, headers: dict[str, str]) -> Answer:
        status, content = receiver.answer(body, headers)
        return status, {"Content-Type": "application/json"}, b"" if content is None else json.dumps(content).encode()

    with answering_posts(answer) as receiver.url:
        try:
            yield receiver
        finally:
            receiver.hold.set()
            receiver.hold_callbacks.set()


@contextmanager
def connected_receiver(product: Product) -> Iterator[Receiver]:
    """A receiver with the demo tenant's signing secret, known to the product as job type `text.count`."""
    status, answer = product.call("GET", "/v1/signing-secrets/default")
    assert status == 200, answer
    with receiving(Receiver(answer["secret"])) as receiver:
        spec = {"executor": "http", "http": {"url": receiver.url}, "defaults": {"retry": {"initial_seconds": 1}}}
        status, answer = product.call("PUT", "/v1/job-types/text.count", spec)
        assert status in (200, 201), answer
        yield receiver
