"""Names whose servers never answer hold up their own requests and nobody else's."""

from __future__ import annotations

import asyncio
import time

import pytest

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from tests.egress.name_server import name_server
from tests.egress.servers import LOCAL, fixed, peer
from tests.egress.test_client import OK, request_to

pytestmark = pytest.mark.deep

SILENT_NAMES = 300


def test_hundreds_of_names_that_get_no_answer_hold_up_no_other_name() -> None:
    async def scenario() -> float:
        async with peer(fixed(OK)) as listener, EgressClient(LOCAL) as client:
            silent = [
                asyncio.create_task(fail(client, f"http://host{number}.silent.test/", timeout_seconds=10))
                for number in range(SILENT_NAMES)
            ]
            # Until each of them is being looked up.
            await asyncio.sleep(0.3)
            begun = time.monotonic()
            answer = await client.send(request_to(listener, url=listener.url(host="healthy.test")))
            took = time.monotonic() - begun
            assert answer.status == 200
            assert not any(task.done() for task in silent)
            assert {await task for task in silent} == {"dns"}
            return took

    with name_server({"healthy.test": [["127.0.0.1"]]}, silent=".silent.test"):
        # The silent ones are given up after 2 s, 64 at a time would keep a healthy one waiting for ten.
        assert asyncio.run(scenario()) < 1.0


def test_a_lookup_that_was_given_up_leaves_room_and_does_not_keep_the_client_from_closing() -> None:
    async def scenario() -> float:
        async with EgressClient(LOCAL) as client:
            assert await fail(client, "http://host.silent.test/", timeout_seconds=0.2) == "timeout"
            begun = time.monotonic()
        return time.monotonic() - begun

    with name_server({}, silent=".silent.test"):
        assert asyncio.run(scenario()) < 0.5


async def fail(client: EgressClient, url: str, *, timeout_seconds: float) -> str:
    with pytest.raises(EgressFailed) as caught:
        await client.send(EgressRequest("POST", url, timeout_seconds=timeout_seconds))
    return caught.value.error_class
