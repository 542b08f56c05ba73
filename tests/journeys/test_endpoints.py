"""A tenant's endpoint is told of everything, once, whatever is paused, killed or gone in between."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.product import Product, wait_until
from tests.journeys.receiver import Receiver, receiving
from tests.journeys.stopping import ask


class EndpointReceiver(Receiver):
    """It may say that it is gone, or out of order; `turned_away` are the webhook ids that it did not take."""

    status = 204

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.turned_away: set[str] = set()

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        if self.status != 204:
            self.turned_away.add(headers["webhook-id"])
            return self.status, None
        return super().answer(body, headers)


@pytest.fixture
def endpoint(product: Product) -> Iterator[tuple[EndpointReceiver, str]]:
    """A receiver with an endpoint and a secret of its own, and the endpoint's path."""
    with receiving(EndpointReceiver("")) as receiver:
        spec = {"url": receiver.url, "events": ["job.completed"], "signing": {"scheme": "v1", "own": True}}
        status, answer = product.call("POST", "/v1/webhook-endpoints", spec)
        assert status == 201, answer
        receiver.trust(answer["signing"]["secret"])
        path = f"/v1/webhook-endpoints/{answer['id']}"
        yield receiver, path
        assert product.call("DELETE", path)[0] == 204


def submit(product: Product, count: int) -> list[str]:
    return [product.submit(type="echo", payload=number) for number in range(count)]


def await_told(receiver: Receiver, jobs: list[str]) -> None:
    wait_until(lambda: set(receiver.callbacks) >= set(jobs), seconds=60, what="every event arrived")


def test_every_event_arrives_though_the_egress_worker_is_killed_and_the_endpoint_paused(
    product: Product, endpoint: tuple[EndpointReceiver, str]
) -> None:
    receiver, path = endpoint
    receiver.hold_callbacks.clear()
    jobs = submit(product, 10)
    wait_until(lambda: receiver.callbacks, seconds=60, what="the first events are under way")
    product.kill(product.await_pid("egress"))
    assert product.call("PATCH", path, {"status": "paused"})[0] == 200
    jobs += submit(product, 10)
    product.wait_for_end(jobs)
    receiver.hold_callbacks.set()
    wait_until(
        lambda: len(product.call("GET", f"{path}/deliveries?state=held")[1]["data"]) >= 10,
        seconds=30,
        what="what came after the pause is held",
    )
    assert product.call("PATCH", path, {"status": "enabled"})[0] == 200
    await_told(receiver, jobs)
    assert receiver.refused == []
    assert {job_id: len(receiver.callbacks[job_id]) for job_id in jobs} == dict.fromkeys(jobs, 1), (
        "one id for each event"
    )


def test_an_endpoint_that_says_gone_is_disabled_and_told_all_when_it_is_enabled_again(
    product: Product, endpoint: tuple[EndpointReceiver, str]
) -> None:
    receiver, path = endpoint
    receiver.status = 410
    jobs = submit(product, 5)
    wait_until(
        lambda: product.call("GET", path)[1]["status"] == "disabled", seconds=30, what="the endpoint is disabled"
    )
    assert product.call("GET", path)[1]["status_reason"] == "gone"
    jobs += submit(product, 5)
    product.wait_for_end(jobs)
    receiver.status = 204
    assert product.call("PATCH", path, {"status": "enabled"})[0] == 200
    await_told(receiver, jobs)
    wait_until(
        lambda: (
            Counter(row["state"] for row in product.call("GET", f"{path}/deliveries")[1]["data"]) == {"delivered": 10}
        ),
        seconds=30,
        what="all are recorded as delivered",
    )


def test_what_failed_while_an_endpoint_was_out_of_order_arrives_by_a_replay_under_the_same_ids(
    product: Product, endpoint: tuple[EndpointReceiver, str]
) -> None:
    receiver, path = endpoint
    receiver.status = 503
    since = "2020-01-01T00:00:00Z"
    jobs = submit(product, 5)
    product.wait_for_end(jobs)
    wait_until(lambda: len(receiver.turned_away) == 5, seconds=60, what="each was tried")
    wait_until(lambda: try_for_the_last_time(product, path) == {"failed": 5}, seconds=120, what="all have failed")
    receiver.status = 204
    assert end_rest(product, path) == 200
    status, action = product.call("POST", f"{path}/replay", {"since": since, "events": ["job.completed"]})
    assert (status, action["status"], action["done"]) == (200, "completed", 5), action
    await_told(receiver, jobs)
    assert {name for job_id in jobs for name in receiver.callbacks[job_id]} == receiver.turned_away
    assert [receiver.callbacks[job_id].total() for job_id in jobs] == [1] * 5
    wait_until(lambda: states(product, path) == {"delivered": 5}, seconds=30, what="all are recorded as delivered")
    again = product.call("POST", f"{path}/replay", {"since": since})[1]
    assert (again["matched"], product.call("GET", f"/v1/bulk-actions/{again['id']}")[1]) == (0, again)


def end_rest(product: Product, path: str) -> int:
    """A receiver that fails again and again is left in peace, longer each time; to enable it ends that."""
    return product.call("PATCH", path, {"status": "enabled"})[0]


def try_for_the_last_time(product: Product, path: str) -> Counter[str]:
    """As if the days of the schedule were over: what waits is due now and its next try is the last. All states then."""
    waiting = "state = 'waiting' AND endpoint_id IS NOT NULL"
    ask(product, f"UPDATE delivery_live SET attempt = 9, due_at = clock_timestamp() WHERE {waiting} RETURNING 1")
    assert end_rest(product, path) == 200
    time.sleep(1)
    return states(product, path)


def states(product: Product, path: str) -> Counter[str]:
    return Counter(row["state"] for row in product.call("GET", f"{path}/deliveries")[1]["data"])
