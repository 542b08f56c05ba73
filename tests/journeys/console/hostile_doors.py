"""Puts the hostile texts through every door of a running product that takes a text, and tells where they are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobservice.egress.headers import check_headers
from jobservice.egress.urls import parse_url
from jobservice.errors import EgressRefused
from tests.journeys.console.hostile_receiver import HostileReceiver
from tests.journeys.console.hostile_texts import FEW, TEXTS, chunks
from tests.journeys.product import Product, wait_until

SAY, LATER, CHECKED = "hostile.say", "hostile.later", "hostile.checked"
_SCHEMA = {"type": "object", "additionalProperties": {"type": "integer"}}
Chunk = tuple[str, ...]


@dataclass
class Put:
    """Ids with what was put there. `taken`: by field, the texts that it took."""

    failed: list[tuple[str, Chunk]] = field(default_factory=list)
    running: list[tuple[str, Chunk]] = field(default_factory=list)
    endpoints: list[tuple[str, str]] = field(default_factory=list)
    whole: str = ""
    checked: str = ""
    taken: dict[str, tuple[str, ...]] = field(default_factory=dict)


def put_texts(product: Product, receiver: HostileReceiver) -> Put:
    """All but people. Waits until every run has said what it had to say."""
    put = Put()
    _make_types(product, receiver)
    _try_names(product, put)
    _submit(product, receiver, put)
    _make_keys(product, put)
    _make_endpoints(product, receiver, put)
    product.wait_for_end([put.whole, put.checked, *(job for job, _chunk in put.failed)])
    wait_until(lambda: receiver.reported == len(put.running), seconds=60, what="every progress is told")
    return put


def _call(product: Product, method: str, path: str, body: Any) -> Any:
    status, answer = product.call(method, path, body)
    assert status < 300, (path, answer)
    return answer


def _make_types(product: Product, receiver: HostileReceiver) -> None:
    _call(product, "PUT", f"/v1/job-types/{LATER}", {"executor": "http", "http": {"url": receiver.url}})
    checked = {"executor": "handler", "handler": "echo", "payload_schema": _SCHEMA}
    _call(product, "PUT", f"/v1/job-types/{CHECKED}", checked)


def _try_names(product: Product, put: Put) -> None:
    """In fields that take names only."""
    fields: dict[str, Callable[[str], dict[str, Any]]] = {
        "type": lambda text: {"type": text},
        "queue": lambda text: {"type": "echo", "queue": text},
        "tag name": lambda text: {"type": "echo", "tags": {text: "x"}},
    }
    for name, job_of in fields.items():
        jobs = [{**job_of(text), "delay_seconds": 86_400} for text in TEXTS]
        answer = _call(product, "POST", "/v1/jobs/bulk", {"mode": "partial", "jobs": jobs})
        put.taken[name] = tuple(
            text for text, entry in zip(TEXTS, answer["data"], strict=True) if entry["status"] < 300
        )
    put.taken["header name"] = tuple(text for text in TEXTS if _passes(lambda name: check_headers({name: "x"}), text))


def _submit(product: Product, receiver: HostileReceiver, put: Put) -> None:
    for place, chunk in enumerate(chunks()):
        said = {"payload": {"texts": chunk}, "tags": {f"t{at}": text for at, text in enumerate(chunk)}}
        callback = receiver.url + "?" + "&".join(_as_addresses(receiver, chunk))
        keys = {"concurrency_key": chunk[0], "unique": {"key": chunk[-1]}, "metadata": {"texts": chunk}}
        put.failed.append((product.submit(type=SAY, **said, **keys, callback_url=callback), chunk))
        if place % 5 == 0:
            put.running.append((product.submit(type=LATER, timeout_seconds=3600, **said), chunk))
    put.whole = product.submit(type="echo", payload=TEXTS)
    put.checked = product.submit(type=CHECKED, payload={})


def _make_keys(product: Product, put: Put) -> None:
    statuses = [product.call("POST", "/v1/api-keys", {"name": text, "scopes": ["jobs:read"]})[0] for text in FEW]
    put.taken["API key name"] = tuple(text for text, status in zip(FEW, statuses, strict=True) if status == 201)


def _make_endpoints(product: Product, receiver: HostileReceiver, put: Put) -> None:
    """The first of them is told as many events as there are answers."""
    put.taken["URL"] = tuple(_as_addresses(receiver, TEXTS))
    for chunk in chunks(put.taken["URL"]):
        values = [text for text in chunk if _passes(lambda value: check_headers({"x": value}), text)]
        headers = {f"X-{at}": text for at, text in enumerate(values)}
        wanted = {"url": receiver.url + "?" + "&".join(chunk), "headers": headers, "events": ["quota.warning"]}
        made = _call(product, "POST", "/v1/webhook-endpoints", wanted)
        put.endpoints.append((made["id"], made["url"]))
    first = f"/v1/webhook-endpoints/{put.endpoints[0][0]}"
    for _ in chunks():
        _call(product, "POST", f"{first}/test", {})

    def are_told() -> bool:
        told = product.call("GET", f"{first}/deliveries?limit=100")[1]["data"]
        return [one["state"] for one in told] == ["delivered"] * len(chunks())

    wait_until(are_told, seconds=60, what="every test event is answered")


def _as_addresses(receiver: HostileReceiver, texts: tuple[str, ...]) -> list[str]:
    return [text for text in texts if _passes(lambda query: parse_url(f"{receiver.url}?{query}"), text)]


def _passes(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except EgressRefused:
        return False
    return True
