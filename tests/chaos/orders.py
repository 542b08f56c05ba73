"""What the chaos tests submit: a seeded mixture of every executor, with failures, retries, callbacks and long runs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

HTTP_TYPE = "chaos.http"
LONG_QUEUE = "long"
AT_ONCE = {"initial_seconds": 0, "jitter": 0}


@dataclass(frozen=True, slots=True)
class Order:
    """One job to submit, and the state in which a right service ends it."""

    body: dict[str, Any]
    end: str = "completed"

    @property
    def has_callback(self) -> bool:
        return "callback_url" in self.body

    @property
    def is_long(self) -> bool:
        """Whether it keeps a handler's process for more than a second."""
        return self.body.get("queue") == LONG_QUEUE


def mix_orders(rng: random.Random, count: int, *, callback_url: str) -> list[Order]:
    """`count` orders; every second one has a callback."""
    kinds, weights = zip(*_KINDS, strict=True)
    orders = [make(rng) for make in rng.choices(kinds, weights, k=count)]
    return [_with_callback(order, callback_url) if rng.random() < 0.5 else order for order in orders]


def one_of_each(rng: random.Random, *, callback_url: str) -> list[Order]:
    """A small mixture that comes by nearly every place of the code: all kinds, each with a callback."""
    return [_with_callback(make(rng), callback_url) for make, _ in _KINDS]


def long_orders(kind: str, *, callback_url: str) -> list[Order]:
    """Runs that are under way for a while in this kind of process, for one that is to be frozen with them."""
    rng = random.Random(0)
    if kind == "handlers":
        return [_with_callback(_long(rng), callback_url) for _ in range(2)]
    return [_with_callback(_http_long(rng), callback_url) for _ in range(20)] if kind == "egress" else []


def _echo(rng: random.Random) -> Order:
    return Order({"type": "echo", "payload": rng.random()})


def _short(rng: random.Random) -> Order:
    return Order({"type": "chaos.work", "payload": {"seconds": round(rng.uniform(0, 0.05), 3)}})


def _long(_rng: random.Random) -> Order:
    """Longer than a third of the lease of three seconds, so that it must be renewed."""
    return Order({"type": "chaos.work", "payload": {"seconds": 1.3}, "queue": LONG_QUEUE})


def _failing_once(_rng: random.Random) -> Order:
    return Order({"type": "chaos.work", "payload": {"fail_times": 1}, "retry": AT_ONCE})


def _failing_always(_rng: random.Random) -> Order:
    return Order(
        {"type": "chaos.work", "payload": {"fail_times": 99}, "retry": AT_ONCE, "max_attempts": 2}, end="discarded"
    )


def _http(_rng: random.Random) -> Order:
    return Order({"type": HTTP_TYPE, "payload": {}})


def _http_long(_rng: random.Random) -> Order:
    return Order({"type": HTTP_TYPE, "payload": {"seconds": 1.3}})


def _http_failing_once(_rng: random.Random) -> Order:
    return Order({"type": HTTP_TYPE, "payload": {"fail_times": 1}, "retry": AT_ONCE})


_KINDS = (
    (_echo, 22),
    (_short, 25),
    (_long, 2),
    (_failing_once, 8),
    (_failing_always, 5),
    (_http, 28),
    (_http_long, 4),
    (_http_failing_once, 6),
)


def _with_callback(order: Order, url: str) -> Order:
    return Order({**order.body, "callback_url": url}, order.end)
