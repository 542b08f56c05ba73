"""Keys and the request limit over the real web processes: what one of them knows or does, all of them heed."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.journeys.product import Product

# So few that no machine is so slow, or stands still for so long, that all requests are within the refill.
RATE, BURST = 2, 4


def make_tenant(product: Product, name: str) -> str:
    """The key of a new tenant of all scopes."""
    answer = product.command("create_tenant", name, "--json")
    assert answer.returncode == 0, answer.stderr
    return str(json.loads(answer.stdout)["api_key"])


def test_parallel_requests_get_the_burst_and_the_refill_and_no_more(product: Product) -> None:
    key = make_tenant(product, "limited")
    product.command("set_quota", "limited", f"requests_per_second={RATE}")
    started = time.monotonic()
    with ThreadPoolExecutor(16) as threads:
        statuses = Counter(threads.map(lambda _: product.call("GET", "/v1/tenant", key=key)[0], range(200)))
    elapsed = time.monotonic() - started
    assert set(statuses) == {200, 429}
    assert BURST <= statuses[200] <= BURST + RATE * elapsed + 1
    # Another tenant of the same processes is not touched.
    assert product.call("GET", "/v1/tenant")[0] == 200


def test_a_revoked_and_a_rotated_key_are_over_in_every_process_at_once(product: Product) -> None:
    owner = make_tenant(product, "keyed")
    body = {"name": "reader", "scopes": ["tenant:read"]}

    def statuses(key: str) -> set[int]:
        """Of so many requests that every web process had some."""
        with ThreadPoolExecutor(8) as threads:
            return set(threads.map(lambda _: product.call("GET", "/v1/tenant", key=key)[0], range(40)))

    made = product.call("POST", "/v1/api-keys", body, key=owner)[1]
    assert statuses(made["key"]) == {200}
    assert product.call("GET", f"/v1/api-keys/{made['id']}", key=owner)[1]["last_used_at"] is not None
    path = f"/v1/api-keys/{made['id']}"
    rotated = product.call("POST", f"{path}/rotate", {"overlap_seconds": 60}, key=owner)[1]
    assert (statuses(made["key"]), statuses(rotated["key"])) == ({200}, {200})
    again = product.call("POST", f"{path}/rotate", {}, key=owner)[1]
    assert (statuses(made["key"]), statuses(rotated["key"]), statuses(again["key"])) == ({401}, {401}, {200})
    assert product.call("DELETE", path, key=owner)[0] == 204
    assert statuses(again["key"]) == {401}
